"""One GET: its limits, its words, and where it does not go."""

import datetime
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.collect.connection import FetchError, tls_context
from stages.collect.opener import Opener, installed
from stages.reasons import Reason
from tests.stages.collect.conftest import Answer, Web, body, status


def anywhere(address: str) -> None:
    return None


def not_the_alias(address: str) -> str | None:
    return "private" if address == "127.0.0.2" else None


def opener(**changes: object) -> Opener:
    return Opener(**{"guard": anywhere, "max_bytes": 1000, "deadline": 5.0, **changes})  # type: ignore[arg-type]


def get(url: str, using: Opener | None = None) -> bytes:
    return (using or opener()).open(urllib.request.Request(url)).read()


def fails(url: str, using: Opener | None = None) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(url, using)
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value


def drip(seconds: float, start: bytes) -> Answer:
    """One byte now and then, for a long time."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        for _ in range(int(seconds / 0.05)):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    return answer


def test_the_body_comes_as_it_is_with_a_name_of_our_own(web: Web) -> None:
    data = bytes(range(256)) * 3
    using = opener()
    assert get(web.serve("/a%20b?q=%2b", data), using) == data
    assert web.asked["/a%20b?q=%2b"] == 1
    assert next(iter(web.agents)).startswith("sdflow/")
    (exchange,) = using.exchanges
    assert (exchange.status, exchange.headers) == (200, {"content-length": "768"})


def test_urlopen_goes_through_an_installed_opener_and_no_longer(web: Web) -> None:
    url = web.serve("/a", b"abc")
    with installed(opener()), urllib.request.urlopen(url) as answer:
        assert answer.read() == b"abc"
    with installed(opener()), pytest.raises(FetchError, match="bad_url"):
        urllib.request.urlopen("file:///etc/hostname")
    with urllib.request.urlopen("data:,hello") as answer:
        assert answer.read() == b"hello"


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        (404, Reason.HTTP_CLIENT_ERROR, "404 Not Found"),
        (403, Reason.HTTP_CLIENT_ERROR, "403 Forbidden"),
        (408, Reason.TIMEOUT, "408 Request Timeout"),
        (429, Reason.HTTP_TOO_MANY_REQUESTS, "429 Too Many Requests"),
        (500, Reason.HTTP_SERVER_ERROR, "500 Internal Server Error"),
        (503, Reason.HTTP_SERVER_ERROR, "503 Service Unavailable"),
        (304, Reason.HTTP_CLIENT_ERROR, "304 Not Modified"),
        (302, Reason.HTTP_CLIENT_ERROR, "302 Found"),
    ],
)
def test_statuses_have_words(web: Web, code: int, reason: Reason, detail: str) -> None:
    web.answers["/x"] = status(code)
    error = fails(web.url("/x"))
    assert (error.reason, error.detail) == (reason, detail)


def test_too_many_bytes_are_not_read_whether_announced_or_not(web: Web) -> None:
    sent: list[int] = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for number in range(5000):
                handler.wfile.write(b"x" * 10_000)
                sent.append(number)
        except OSError:
            sent.append(-1)

    web.answers["/announced"] = body(b"x" * 1001)
    web.answers["/flood"] = flood
    web.answers["/just"] = body(b"x" * 1000)
    assert fails(web.url("/announced")).detail == "1001 bytes announced"
    error = fails(web.url("/flood"))
    assert (error.reason, error.detail) == (Reason.TOO_MANY_BYTES, "more than 1000 bytes")
    assert len(get(web.url("/just"))) == 1000
    for _ in range(100):
        if sent and sent[-1] == -1:
            break
        time.sleep(0.05)
    assert sent[-1] == -1, "the server could go on sending"


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nX-Slow: ",
        b"",
        b"HTTP/1.0 302 Found\r\nLo",
    ],
    ids=["body", "header", "status line", "redirect"],
)
def test_a_drip_ends_by_the_deadline(web: Web, start: bytes) -> None:
    web.answers["/drip"] = drip(20.0, start)
    before = time.monotonic()
    error = fails(web.url("/drip"), opener(deadline=0.4))
    assert (error.reason, error.detail) == (Reason.TIMEOUT, "no whole answer within 0.4 s")
    assert time.monotonic() - before < 10  # far less than the drip: a bound on waiting, no measurement


def test_the_deadline_holds_over_redirects(web: Web) -> None:
    def later(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        status(302, Location="/later")(handler)

    web.answers["/later"] = later
    assert fails(web.url("/later"), opener(deadline=0.5)).reason == Reason.TIMEOUT


def test_silence_times_out(web: Web) -> None:
    web.answers["/silent"] = lambda handler: time.sleep(3)
    assert fails(web.url("/silent"), opener(deadline=0.3)).reason == Reason.TIMEOUT


def test_redirects_are_followed_up_to_a_number(web: Web) -> None:
    for number in range(8):
        web.answers[f"/r{number}"] = status(302, Location=f"r{number - 1}")
    web.answers["/r0"] = body(b"end")
    using = opener()
    assert get(web.url("/r5"), using) == b"end"
    assert using.exchanges[0].final_url == web.url("/r0")
    assert fails(web.url("/r6")).detail == "more than 5 redirects"
    web.answers["/self"] = status(301, Location="/self")
    assert fails(web.url("/self")).detail == "more than 5 redirects"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "data:,x", "ftp://127.0.0.1/x", "gopher://x/"])
def test_redirects_lead_to_http_only(web: Web, target: str) -> None:
    web.answers["/r"] = status(302, Location=target)
    error = fails(web.url("/r"))
    assert error.reason == Reason.BAD_URL
    assert target[:5] in error.detail


def test_a_redirect_body_is_not_read(web: Web) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/end")
        handler.end_headers()
        with suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 10_000)

    web.answers["/r"] = endless
    assert get(web.serve("/end", b"end").replace("/end", "/r")) == b"end"


def test_the_guard_decides_on_every_address_that_is_connected_to(web: Web) -> None:
    using = opener(guard=not_the_alias)
    web.answers["/secret"] = body(b"secret")
    web.answers["/r"] = status(302, Location=web.url("/secret", host="127.0.0.2"))
    error = fails(web.url("/secret", host="127.0.0.2"), using)
    assert (error.reason, error.detail) == (Reason.FORBIDDEN_ADDRESS, "127.0.0.2 is 127.0.0.2 (private)")
    assert fails(web.url("/r"), using).reason == Reason.FORBIDDEN_ADDRESS
    # Other spellings of the same address are resolved before they are judged.
    for spelling in ("127.0.2", "2130706434", "0x7f.0.0.2", "0177.0.0.2"):
        assert fails(web.url("/secret", host=spelling), using).reason == Reason.FORBIDDEN_ADDRESS
    assert web.asked["/secret"] == 0


def test_the_address_really_reached_is_judged(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def lies(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    web.serve("/x", b"x")
    answers = iter([None, "private"])  # fine when resolved, forbidden when connected
    monkeypatch.setattr(socket, "getaddrinfo", lies)
    error = fails(web.url("/x", host="name.example"), opener(guard=lambda _: next(answers)))
    assert error.detail == "name.example led to 127.0.0.1 (private)"
    assert web.asked["/x"] == 0


def test_a_name_with_a_forbidden_and_a_good_address_leads_to_the_good_one(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in ("127.0.0.2", "127.0.0.1")
        ]

    web.serve("/x", b"x")
    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert get(web.url("/x", host="name.example"), opener(guard=not_the_alias)) == b"x"


def test_what_goes_wrong_below_http_has_words(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        unused = server.getsockname()[1]
    assert fails(f"http://127.0.0.1:{unused}/").detail == "Connection refused"
    assert fails("http://no-such-name.invalid/").reason == Reason.NAME_NOT_RESOLVED
    web.answers["/short"] = body(b"x" * 10, length=500)
    error = fails(web.url("/short"))
    assert (error.reason, error.detail) == (
        Reason.CONNECTION_FAILED,
        "the connection ended before the body did",
    )
    web.answers["/garbage"] = lambda handler: (
        handler.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n") and None
    )
    assert fails(web.url("/garbage")).reason == Reason.CONNECTION_FAILED
    web.answers["/nothing"] = lambda handler: None
    assert fails(web.url("/nothing")).reason == Reason.CONNECTION_FAILED


def test_a_proxy_of_the_environment_is_not_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert get(web.serve("/x", b"x")) == b"x"


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A TLS server on loopback that drips: its port, and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = (
                drip(20.0, b"HTTP/1.0 200 OK\r\nContent-Length: 900\r\n\r\n")
                if "drip" in self.path
                else body(b"sealed")
            )
            with suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port, pem
    server.shutdown()
    server.server_close()


def test_tls_is_verified_and_keeps_deadlines(secure: tuple[int, Path]) -> None:
    port, certificate = secure
    context = tls_context()
    context.load_verify_locations(certificate)
    trusting = opener(tls=context)
    assert get(f"https://127.0.0.1:{port}/x", trusting) == b"sealed"
    assert fails(f"https://127.0.0.1:{port}/drip", opener(tls=context, deadline=0.5)).reason == Reason.TIMEOUT
    stranger = fails(f"https://127.0.0.1:{port}/x")
    assert stranger.reason == Reason.CONNECTION_FAILED
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.detail.upper() or "certificate" in stranger.detail
