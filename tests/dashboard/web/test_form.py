"""What a page that writes takes: a form that our own page sent."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dashboard.web.form import LIMIT, SignedForm
from dashboard.web.security import Access
from tests.dashboard.conftest import ADDRESS

ACCESS = Access()
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.state.access = ACCESS

    @app.post("/")
    def fields(form: SignedForm) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return dict(form)

    return TestClient(app, base_url=ADDRESS)


def test_fields_come_as_they_were_typed(client: TestClient):
    answer = client.post("/", data={"why": "a\r\nb & ü=", "empty": "", "form_token": ACCESS.form_token})
    assert answer.json() == {"why": "a\r\nb & ü=", "empty": ""}


@pytest.mark.parametrize("token", ["", "0" * 64, Access(secret=b"of another process").form_token, "ü"])
def test_without_this_process_s_token_nothing_is_taken(client: TestClient, token: str):
    assert client.post("/", data={"why": "x", "form_token": token}).status_code == 403


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_what_is_no_form_is_not_read(client: TestClient, kind: str):
    body = f"form_token={ACCESS.form_token}"
    assert client.post("/", content=body, headers={"content-type": kind}).status_code == 415


@pytest.mark.parametrize("body", [b"a=%ff", b"\xff", b"&".join(b"%d=1" % n for n in range(40))])
def test_what_cannot_be_read_is_refused(client: TestClient, body: bytes):
    assert client.post("/", content=body, headers=FORM).status_code == 400


def test_a_form_has_a_limit(client: TestClient):
    body = f"form_token={ACCESS.form_token}&why=".encode() + b"x" * LIMIT
    assert client.post("/", content=body, headers=FORM).status_code == 413
