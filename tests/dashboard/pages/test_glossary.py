"""The page of words, and the clauses that explain a reason wherever one stands."""

from html import unescape

import pytest
from starlette.testclient import TestClient

from stages.artifacts.artifact import Artifact
from stages.reasons import EXPLANATIONS, RETRYABLE, Reason
from tests.dashboard.asking import path


def test_every_page_leads_to_the_words(client: TestClient):
    assert 'href="/words"' in client.get("/diff").text
    text = client.get("/words").text
    assert "on hold" in text
    assert "fingerprint" in text


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(client: TestClient, reason: Reason):
    assert ("tried again" in EXPLANATIONS[reason]) == (reason in RETRYABLE)
    text = unescape(client.get("/words").text)
    assert f'id="{reason}"' in text
    assert EXPLANATIONS[reason] in text


def test_a_gallery_says_why_its_rows_were_left_out(client: TestClient, made: dict[str, Artifact]):
    text = unescape(client.get(path(made["collect"], "rows?reason=http_not_found")).text)
    assert EXPLANATIONS[Reason.HTTP_NOT_FOUND] in text


def test_a_funnel_and_a_picture_explain_their_reasons(client: TestClient, made: dict[str, Artifact]):
    rejected = made["collect"].table("rejects", None, [("reason", "=", "http_not_found")]).iloc[0]
    for address in (path(made["collect"], ""), f"/images/{rejected['uid']}"):
        assert EXPLANATIONS[Reason.HTTP_NOT_FOUND] in unescape(client.get(address.rstrip("/")).text)
