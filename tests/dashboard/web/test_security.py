"""Who may ask the dashboard, and what its pages may do."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.web.security import Access
from stages.store import open_store
from tests.dashboard.conftest import ADDRESS


def test_a_page_may_load_nothing_from_elsewhere(empty: TestClient):
    policy = empty.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", ""])
def test_another_name_for_this_machine_is_refused(empty: TestClient, host: str):
    """As after DNS rebinding: the page of a stranger whose name has come to mean 127.0.0.1."""
    assert empty.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:9", "[::1]:8321", "127.0.0.1"])
def test_this_machine_s_own_names_are_served(empty: TestClient, host: str):
    assert empty.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1"])
def test_a_form_of_another_page_changes_nothing(empty: TestClient, origin: str):
    headers = {"origin": origin} if origin else {}
    assert empty.post("/", headers=headers).status_code == 403
    assert empty.post("/", headers={"origin": ADDRESS}).status_code == 405


def test_bound_elsewhere_everybody_brings_the_token(tmp_path: Path):
    access = Access(hosts=("127.0.0.1",), token="a-long-token")
    app = create_app(open_store(str(tmp_path / "store")), access)
    with TestClient(app, base_url=ADDRESS) as client:
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        answer = client.get("/?token=a-long-token&q=x", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/?q=x")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "SameSite=strict" in answer.headers["set-cookie"]
        assert client.get("/").status_code == 200  # by the cookie
        client.cookies.clear()
        assert client.get("/static/dashboard.css").status_code == 401


def test_forms_have_a_token_of_the_process():
    access, other = Access(), Access()
    assert access.accepts_form(access.form_token)
    assert not access.accepts_form(other.form_token)
    assert not access.accepts_form("")
