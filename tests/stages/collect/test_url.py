import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.url import normalise


@pytest.mark.parametrize(
    ("given_", "normal"),
    [
        ("http://example.com", "http://example.com/"),
        ("  HTTP://EXAMPLE.com:80/A/b?Q=1#part ", "http://example.com/A/b?Q=1"),
        ("https://Example.COM:443", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com?a=b", "http://example.com/?a=b"),
        ("http://example.com/a b/é.jpg", "http://example.com/a%20b/%C3%A9.jpg"),
        ("http://example.com/%7euser/%2b", "http://example.com/%7euser/%2b"),
        ("http://example.com/a/../b//c/.", "http://example.com/a/../b//c/."),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[2001:DB8:0:0::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://192.0.2.1/x", "http://192.0.2.1/x"),
        ("http://my_bucket.example.com/x", "http://my_bucket.example.com/x"),
        ("http://example.com./x", "http://example.com./x"),
    ],
)
def test_what_means_the_same_is_spelt_alike(given_: str, normal: str) -> None:
    assert normalise(given_) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "scheme 'file'"),
        ("data:image/png;base64,AAAA", "scheme 'data'"),
        ("ftp://example.com/x", "scheme 'ftp'"),
        ("javascript:alert(1)", "scheme 'javascript'"),
        ("example.com/x.jpg", "no scheme"),
        ("//example.com/x.jpg", "no scheme"),
        ("http:///x.jpg", "no host"),
        ("http://", "no host"),
        ("http://user:secret@example.com/", "user name"),
        ("http://exa mple.com/", "no domain name"),
        ("http://-example.com/", "no domain name"),
        ("http://a..b/", "no domain name"),
        ("http://[::1/", "malformed"),
        ("http://[::g]/", "malformed|no IPv6"),
        ("http://example.com:99999/", "malformed"),
        ("http://example.com:port/", "malformed"),
        ("http://example.com/a\nHost: evil", "control"),
        ("http://example.com/\x00", "control"),
        (f"http://{'a' * 300}.com/", "no domain name"),
    ],
)
def test_what_cannot_be_fetched_is_refused_and_said(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        normalise(url)


@given(st.text())
def test_any_path_becomes_ascii_and_stays(path: str) -> None:
    try:
        once = normalise(f"http://example.com/{path}")
    except ValueError:
        return
    assert once.isascii()
    assert " " not in once
    assert normalise(once) == once
