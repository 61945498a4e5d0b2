"""What a URL becomes: equal where RFC 3986 says equivalent, refused with a reason where it is none."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web.url import (
    MAX_SPELLED,
    MAX_URL,
    STORED_CHARACTERS,
    UrlError,
    host_of,
    normalise,
    redacted,
)
from stages.reasons import Reason
from tests.work import calls


@pytest.mark.parametrize(
    ("given_", "normal"),
    [
        ("http://example.com", "http://example.com/"),
        ("  HTTP://EXAMPLE.com:80/A/b?Q=1#part ", "http://example.com/A/b?Q=1"),
        ("https://Example.COM:443", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com:0080/", "http://example.com/"),
        ("http://example.com?a=b", "http://example.com/?a=b"),
        ("http://example.com/x?", "http://example.com/x?"),  # 6.2.3: an empty query is not no query
        ("http://example.com/a b/é.jpg", "http://example.com/a%20b/%C3%A9.jpg"),
        ("http://example.com/%7euser/%2b%2f", "http://example.com/~user/%2B%2F"),
        ("http://example.com/100%.jpg", "http://example.com/100%25.jpg"),
        ("http://example.com/%%41%4", "http://example.com/%25A%254"),
        ("http://example.com/a[1]|.jpg", "http://example.com/a%5B1%5D%7C.jpg"),
        ("http://example.com/?q=%7e%2f&a[0]=ü |%zz", "http://example.com/?q=%7e%2f&a[0]=%C3%BC%20%7C%25zz"),
        ("http://example.com/a\\b", "http://example.com/a%5Cb"),
        # RFC 3986, 5.2.4 and 5.4
        ("http://example.com/a/b/c/./../../g", "http://example.com/a/g"),
        ("http://example.com/mid/content=5/../6", "http://example.com/mid/6"),
        ("http://example.com/a/../b//c/.", "http://example.com/b//c/"),
        ("http://example.com/b/c/..", "http://example.com/b/"),
        ("http://example.com/../../g", "http://example.com/g"),
        ("http://example.com/..", "http://example.com/"),
        ("http://example.com/g./.g/..g/...", "http://example.com/g./.g/..g/..."),
        ("http://example.com/%2e%2E/x", "http://example.com/x"),
        ("http://example.com/?a=/./../b", "http://example.com/?a=/./../b"),
        # names: UTS 46 and IDNA 2008 (so the German ß stays itself), escapes, the root's dot
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER。example/", "http://xn--bcher-kva.example/"),
        ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
        ("http://faß.de/", "http://xn--fa-hia.de/"),
        ("http://ex%61mple.com/", "http://example.com/"),
        ("http://ｅxample.com/", "http://example.com/"),
        ("http://example.com./x", "http://example.com/x"),
        ("http://my_bucket.example.com/x", "http://my_bucket.example.com/x"),
        ("http://localhost/", "http://localhost/"),
        # addresses
        ("http://[2001:DB8:0:0::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://[2001:db8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://192.0.2.1/x", "http://192.0.2.1/x"),
        ("http://192.0.2.1./x", "http://192.0.2.1/x"),
        ("http://１９２.0.2.1/", "http://192.0.2.1/"),
        ("http://1.example.com/", "http://1.example.com/"),
    ],
)
def test_what_means_the_same_is_spelt_alike(given_: str, normal: str) -> None:
    assert normalise(given_) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize("number", range(256))
def test_escapes_stay_where_they_are_needed_alone(number: int) -> None:
    unreserved = chr(number).isascii() and (chr(number).isalnum() or chr(number) in "-._~")  # RFC 3986, 2.3
    expected = f"http://example.com/x{chr(number) if unreserved else f'%{number:02X}'}"
    assert normalise(f"http://example.com/x%{number:02X}") == expected
    assert normalise(f"http://example.com/x%{number:02x}") == expected
    assert normalise(f"http://example.com/?x%{number:02x}") == f"http://example.com/?x%{number:02x}"


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("", "empty_url", "is empty"),
        (" \t", "empty_url", "is empty"),
        ("file:///etc/passwd", "url_scheme", "scheme 'file'"),
        ("data:image/png;base64,AAAA", "url_scheme", "scheme 'data'"),
        ("ftp://example.com/x", "url_scheme", "scheme 'ftp'"),
        ("javascript:alert(1)", "url_scheme", "scheme 'javascript'"),
        ("secret:word@example.com/", "url_scheme", "another scheme"),
        ("example.com/x.jpg", "bad_url", "no scheme"),
        ("//example.com/x.jpg", "bad_url", "no scheme"),
        ("http:///x.jpg", "bad_url", "no host"),
        ("http:x.jpg", "bad_url", "no host"),
        ("http://", "bad_url", "no host"),
        ("http://./", "bad_url", "no host"),
        ("http://user:secret@example.com/", "url_credentials", "user name"),
        ("http://user@example.com/", "url_credentials", "user name"),
        ("http://@example.com/", "url_credentials", "user name"),
        ("http://example.com\\@127.0.0.1/", "url_credentials", "user name"),
        ("http://exa mple.com/", "bad_url", "no domain name"),
        ("http://exa%20mple.com/", "bad_url", "no domain name"),
        ("http://a%2Fb.com/", "bad_url", "no domain name"),
        ("http://a%ff.com/", "bad_url", "no domain name"),
        ("http://user%40example.com/", "bad_url", "no domain name"),
        ("http://-example.com/", "bad_url", "no domain name"),
        ("http://a..b/", "bad_url", "no domain name"),
        ("http://☃.net/", "bad_url", "no domain name"),  # IDNA 2008 has no symbols
        (f"http://{'a' * 300}.com/", "bad_url", "no domain name"),
        (f"http://{'a.' * 130}com/", "bad_url", "no domain name"),
        ("http://[::1/", "bad_url", "no IPv6"),
        ("http://[::g]/", "bad_url", "no IPv6"),
        ("http://[fe80::1%25eth0]/", "bad_url", "zone"),
        ("http://[v1.x]/", "bad_url", "no IPv6"),
        ("http://example.com:99999/", "bad_url", "malformed port"),
        ("http://example.com:0/", "bad_url", "malformed port"),
        ("http://example.com:port/", "bad_url", "malformed port"),
        ("http://example.com:８０/", "bad_url", "malformed port"),
        ("http://example.com/a\nHost: evil", "bad_url", "control"),
        ("http://example.com/\x00", "bad_url", "control"),
        ("http://example.com/\ud800", "bad_url", "surrogate"),
        ("http://\ud800.com/", "bad_url", "no domain name"),
        (f"http://example.com/{'a' * MAX_URL}", "url_too_long", "more than 4096"),
        (f"http://example.com/{'ü' * 1000}", "url_too_long", "6019 characters"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_a_reason(url: str, reason: str, words: str) -> None:
    with pytest.raises(UrlError, match=words) as caught:
        normalise(url)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.0x1",
        "127.0.0.01",
        "256.0.0.1",
        "1.2.3.4.5",
        "0x",
        "example.0x1",
        "１２７.1",
        "127。1",
        "%31%32%37.1",
    ],
)
def test_numbers_that_some_take_for_an_address_are_no_hosts(host: str) -> None:
    with pytest.raises(UrlError, match="no plain IPv4 address"):
        normalise(f"http://{host}/")


def test_a_long_url_is_measured_in_its_normal_form() -> None:
    assert normalise(f"http://example.com/#{'a' * 2 * MAX_URL}") == "http://example.com/"
    longest = f"http://example.com/{'a' * (MAX_URL - 19)}"
    assert normalise(longest) == longest


paths = st.lists(st.text(max_size=6) | st.sampled_from([".", "..", "", "%2e", "%C3%bc", "%"]), max_size=6)
queries = st.text(max_size=20) | st.sampled_from(["", "a=%7e&b=%zz", "[0]='"])


@given(
    st.sampled_from(["http", "HTTPS"]),
    st.sampled_from(
        ["Example.com", "bücher.example", "192.0.2.7", "[2001:DB8::0]", "a_b.example.", "x%41.y"]
    ),
    st.sampled_from(["", ":80", ":443", ":8080", ":"]),
    paths,
    queries,
)
def test_the_normal_form_is_ascii_and_its_own_normal_form(
    scheme: str, host: str, port: str, path: list[str], query: str
) -> None:
    try:
        once = normalise(f"{scheme}://{host}{port}/{'/'.join(path)}?{query}")
    except UrlError:
        return
    assert once.isascii()
    assert " " not in once
    assert not {".", ".."} & set(once.partition("?")[0].split("/"))
    assert normalise(once) == once
    assert normalise(f"{once}#{'x' * 64}") == once
    assert host_of(once) in once


@given(st.text(), st.data())
def test_equivalent_spellings_become_equal(text: str, data: st.DataObject) -> None:
    """Any path, each of its characters as it is or escaped, the escapes in either case."""
    try:
        plain = normalise(f"http://example.com/{quote(text, safe='')}")
    except (UrlError, UnicodeEncodeError):
        return
    spelt = ""
    for character in quote(text, safe="").replace("%", " %").split(" "):
        escape, rest = character[:3], character[3:]
        spelt += (
            (escape.lower() if data.draw(st.booleans()) else escape) if escape.startswith("%") else escape
        )
        spelt += "".join(f"%{ord(letter):02x}" if data.draw(st.booleans()) else letter for letter in rest)
    host = data.draw(st.sampled_from(["example.com", "EXAMPLE.COM:80", "example.com.:", "e%78ample.com"]))
    scheme = data.draw(st.sampled_from(["http", "HTTP"]))
    assert normalise(f"{scheme}://{host}/{spelt}#part") == plain
    assert normalise(f"{scheme}://{host}/{spelt}") == plain


@given(st.text())
def test_whatever_is_no_url_raises_nothing_else(text: str) -> None:
    for url in (text, f"http://{text}", f"https://h/{text}"):
        with suppress(UrlError):
            normalise(url)
        assert len(redacted(url)) <= STORED_CHARACTERS
        redacted(url).encode()


def test_host() -> None:
    assert host_of("https://example.com:8443/a@b:c?x") == "example.com"
    assert host_of("http://[2001:db8::1]/") == "2001:db8::1"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/" + "%41" * MAX_URL, Reason.URL_TOO_LONG),
        ("http://example.com/" + "./" * MAX_SPELLED, Reason.URL_TOO_LONG),
        ("http://example.com/#" + "a" * MAX_SPELLED, Reason.URL_TOO_LONG),
        ("http://example.com/\n" + "a" * MAX_SPELLED, Reason.URL_TOO_LONG),
        ("data:" + "A" * MAX_SPELLED, Reason.URL_SCHEME),
        ("http://u@example.com/" + "A" * MAX_SPELLED, Reason.URL_CREDENTIALS),
        ("a" * MAX_SPELLED + "://h", Reason.BAD_URL),
        ("http://" + "\u30fb" * 1500 + "\u3042/", Reason.BAD_URL),
        ("http://" + "%e3%83%bb" * 1500 + "/", Reason.BAD_URL),
        ("http://" + "ä." * 2000, Reason.BAD_URL),
    ],
)
def test_what_is_far_too_long_is_refused_before_it_is_looked_at_closely(url: str, reason: Reason) -> None:
    with pytest.raises(UrlError) as caught:
        normalise(url)
    assert caught.value.reason == reason
    assert calls(lambda: _refused(url * 3)) < calls(lambda: _refused(url)) + 100


def _refused(url: str) -> None:
    with suppress(UrlError):
        normalise(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:SECRET@example.com/x",
        "http://SECRET@example.com/",
        "ftp://SECRET:SECRET@example.com/",
        "SECRET:SECRET@example.com/x",
        "SECRET@example.com",
        "http://u:SECRET/SECRET@example.com/",
        "https://u:SECRET#1@example.com/",
        "//u:SECRET@example.com",
        "http://u:SECRET@h@example.com/",
    ],
)
def test_neither_a_refused_url_nor_its_error_tells_secrets(url: str) -> None:
    assert "SECRET" not in redacted(url)
    assert "example.com" in redacted(url)
    with pytest.raises(UrlError) as caught:
        normalise(url)
    assert "SECRET" not in caught.value.detail
    assert "secret" not in caught.value.detail


def test_what_is_kept_of_a_refused_url_is_short_and_its_own() -> None:
    first, second = (redacted(f"data:{'A' * 5000}{end}") for end in "12")
    assert first != second
    assert len(first) == len(second) == STORED_CHARACTERS
    assert redacted("http://example.com:port/users/@me") == "http://…@me"  # rather too much than too little
    assert redacted("http://exa mple.com/users/@me") == "http://exa mple.com/users/@me"
