"""Secrets in URLs: nothing of them is left, nothing else is lost, hostile texts cost their length."""

import re
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.redaction import redact, redact_error, redact_url, without_credentials
from tests.work import calls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:SECRET@host/t.parquet?sv=1&sig=SECRET", "https://…@host/t.parquet?…"),
        ("table 'https://host/t.csv?sig=SECRET' has no rows", "table 'https://host/t.csv?…' has no rows"),
        ("(https://host/t.csv?SECRET), https://SECRET@host.", "(https://host/t.csv?…), https://…@host."),
        ("url=URL('https://host/a#access_token=SECRET'); x", "url=URL('https://host/a?…'); x"),
        ("https://host/?next=https://u:SECRET@other/?sig=SECRET", "https://host/?…"),
        ("https://u:SEC/RET@host/?x", "https://…@host/?…"),
        ("s3://KEY:SECRET@bucket/part-?.parquet", "s3://…@bucket/part-?.parquet"),
        ("az://container/t.csv?sig=SECRET", "az://container/t.csv?…"),
        ("ftp://host/t.csv?SECRET", "ftp://host/t.csv?…"),
        ("simplecache://a/b-?.csv", "simplecache://a/b-?.csv"),
        ("zip://a.csv::https://host/t.zip?SECRET", "zip://a.csv::https://host/t.zip?…"),
        ("simplecache::HTTPS://host/t.csv?SECRET", "simplecache::HTTPS://host/t.csv?…"),
        ("https://host:8080/users/@me", "https://host:8080/users/@me"),
        ("a folder/with@sign?", "a folder/with@sign?"),
        ("", ""),
    ],
)
def test_only_the_secrets_of_urls_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected
    if " " not in text and "(" not in text:
        assert redact_url(text) == expected


def test_a_url_by_itself_is_redacted_to_its_end() -> None:
    assert redact_url("https://host/t.csv?sig=a b'SECRET\"") == "https://host/t.csv?…"
    assert redact_url("data/part-?.csv") == "data/part-?.csv"


# What `without_credentials` does, as one pattern: which takes the square of a text's length.
CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@|^[^/?#]*@|(?<=//)[^/?#:[\]]*:(?![0-9]*(?:[/?#]|\Z)).*@", re.DOTALL)


@given(st.text(alphabet="a1:/@?#[]\n", max_size=14))
def test_credentials_are_what_they_were_by_a_pattern(text: str) -> None:
    assert without_credentials(text) == CREDENTIALS.sub("…@", text)


@given(st.text(alphabet="ab:/@?#.\" '=", max_size=20), st.text(alphabet="ab:/@?#=", max_size=20))
def test_what_is_redacted_stays_so(before: str, after: str) -> None:
    text = f"{before}://{after}"
    assert redact(redact(text)) == redact(text)
    assert redact_url(redact_url(text)) == redact_url(text)


@pytest.mark.parametrize("piece", ["//a:b", "//a:b@", "://", "/", "@", "//@", "https://u:p@h?s ", "a:", "#?"])
def test_hostile_text_costs_as_much_as_it_is_long(piece: str) -> None:
    for ending in ("", "@"):
        few, many = (f"x:{piece * count}{ending}" for count in (500, 2000))
        assert calls(lambda text=many: redact(text)) < 4.2 * calls(lambda text=few: redact(text)) + 100
        work = [calls(lambda text=text: without_credentials(text)) for text in (few, many)]
        assert work[1] < 4.2 * work[0] + 100


def test_a_list_of_schemes_before_a_url_is_looked_at_once() -> None:
    assert redact("http" * 100_000 + "://h?SECRET").endswith("://h?…")


class StubbornError(Exception):
    """Says the same whatever its arguments are, as aiohttp's errors do."""

    def __str__(self) -> str:
        return f"no answer from {URL}"


URL = "https://u:{0}@host/t.csv?sig={0}".format("SECRET")  # tracebacks show lines of source, too


def _failing() -> None:
    try:
        try:
            raise StubbornError
        except StubbornError:
            raise FileNotFoundError(2, "no such file", URL) from None
    except FileNotFoundError as error:
        error.add_note(f"while reading {URL}")
        raise ValueError(f"{URL} cannot be read: {error}", 7) from error


def test_an_error_and_what_is_behind_it_tell_nothing() -> None:
    with pytest.raises(ValueError, match="cannot be read") as caught:
        _failing()
    redact_error(caught.value)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value)).replace('format("SECRET")', "")
    assert "https://…@host/t.csv?… cannot be read" in str(caught.value.args[0])
    assert caught.value.args[1] == 7
    cause = caught.value.__cause__
    assert isinstance(cause, FileNotFoundError)
    assert cause.__notes__ == ["while reading https://…@host/t.csv?…"]
    assert cause.__context__ is None
