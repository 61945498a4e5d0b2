"""Where a connection leads: names and the addresses behind them, and certificates."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.collect.web import resolver as resolver_module
from stages.collect.web.connection import tls_context
from stages.collect.web.errors import FetchError
from stages.collect.web.http_client import HttpClient
from stages.collect.web.resolver import Address, Resolver
from stages.reasons import Reason
from tests.stages.collect.wire import Wire, ok, served

FIRST_ONLY = ("127.0.0.1/32",)


def at(*hosts: str) -> Callable[[str, int], list[Address]]:
    """Every name has these addresses."""

    def look_up(_: str, port: int) -> list[Address]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    return look_up


def get(
    url: str, look_up: Callable[[str, int], list[Address]], seconds: float = 10.0, **given: object
) -> bytes:
    client = HttpClient(agent="birds", resolve=Resolver(look_up), **given)  # type: ignore[arg-type]
    try:
        until = time.monotonic() + seconds
        return client.get(url, networks=FIRST_ONLY, max_bytes=1000, until=until).body
    finally:
        client.close()


def fails(url: str, look_up: Callable[[str, int], list[Address]], **given: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(url, look_up, **given)  # type: ignore[arg-type]
    return caught.value


@pytest.fixture
def wire() -> Iterator[Wire]:
    with served(lambda *_: ok(b"abc")) as wire:
        yield wire


def test_a_name_leads_where_its_addresses_may(wire: Wire) -> None:
    assert get(wire.url(host="a.example"), at("127.0.0.1")) == b"abc"
    assert f"Host: a.example:{wire.port}\r\n" in wire.asked[0][1]
    error = fails(wire.url(host="a.example"), at("127.0.0.2", "10.0.0.1"))
    assert (error.reason, error.detail) == (
        Reason.FORBIDDEN_ADDRESS,
        "a.example is 10.0.0.1 (private), 127.0.0.2 (loopback)",
    )
    assert get(wire.url(host="a.example"), at("10.0.0.1", "127.0.0.1")) == b"abc"
    assert wire.connections == 2


def test_a_name_that_leads_elsewhere_later_is_judged_again(wire: Wire) -> None:
    answers = iter([at("127.0.0.1"), at("127.0.0.2")])

    def rebinding(host: str, port: int) -> list[Address]:
        return next(answers)(host, port)

    client = HttpClient(agent="birds", resolve=lambda host, port, _: rebinding(host, port))
    for expected in (None, Reason.FORBIDDEN_ADDRESS):
        try:
            client.get(
                wire.url(host="a.example"), networks=FIRST_ONLY, max_bytes=9, until=time.monotonic() + 10
            )
        except FetchError as error:
            reason = error.reason
        else:
            reason = None
        assert reason == expected
        client._pool.close()  # the next one is new
    assert wire.connections == 1


def test_the_address_that_is_reached_is_judged_whatever_was_resolved(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("10.0.0.1", 80))
    error = fails(wire.url(host="a.example"), at("127.0.0.1"))
    assert error.detail == "a.example led to 10.0.0.1 (private)"
    assert wire.asked == []


def test_the_next_address_is_tried_where_one_does_not_answer(wire: Wire) -> None:
    def two(_: str, port: int) -> list[Address]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            closed = server.getsockname()[1]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (closed, port)
        ]

    assert get(wire.url(host="a.example"), two) == b"abc"


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Reason.NO_SUCH_NAME,
         "Name or service not known"),
        (socket.gaierror(socket.EAI_NODATA, "No address"), Reason.NO_SUCH_NAME, "No address"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), Reason.NAME_NOT_RESOLVED,
         "Temporary failure"),
        (socket.gaierror(socket.EAI_FAIL, "Failure"), Reason.NAME_NOT_RESOLVED, "Failure"),
        (UnicodeError("label too long"), Reason.BAD_URL, "no URL that can be asked for"),
    ],
)  # fmt: skip
def test_names_without_an_address(error: Exception, reason: Reason, detail: str) -> None:
    def none(_: str, __: int) -> list[Address]:
        raise error

    failure = fails("http://a.example/", none)
    assert (failure.reason, failure.detail) == (reason, detail)


def test_a_look_up_that_hangs_ends_by_the_moment() -> None:
    ending = threading.Event()

    def hangs(_: str, __: int) -> list[Address]:
        ending.wait()
        return []

    error = fails("http://a.example/", hangs, seconds=0.2)
    ending.set()
    assert error.reason == Reason.TIMEOUT


def test_a_name_is_looked_up_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    look_ups: list[str] = []

    def slow(host: str, port: int) -> list[Address]:
        look_ups.append(host)
        time.sleep(0.05)
        if host == "none.example":
            raise socket.gaierror(socket.EAI_NONAME, "none")
        return at("127.0.0.1")(host, port)

    resolver = Resolver(slow)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(str, pool.map(lambda _: resolver("a.example", 80, 10.0), range(20))))) == 1
        assert look_ups == ["a.example"]
    errors: list[BaseException] = []
    for _ in range(3):
        with pytest.raises(socket.gaierror) as caught:
            resolver("none.example", 80, 10.0)
        errors.append(caught.value)
    assert look_ups == ["a.example", "none.example"]
    assert len(set(map(id, errors))) == 3, "each raise would lengthen the same traceback"
    monkeypatch.setattr(resolver_module, "CACHE_SECONDS", -1.0)
    resolver = Resolver(slow)
    for _ in range(2):
        resolver("b.example", 80, 10.0)
    assert look_ups[2:] == ["b.example"] * 2
    resolver("127.0.0.1", 80, 10.0)
    resolver.close()
    with pytest.raises(OSError, match="the collection ended"):
        resolver("c.example", 80, 10.0)


def test_memory_of_names_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "MAX_NAMES", 10)
    resolver = Resolver(at("127.0.0.1"))
    for number in range(50):
        resolver(f"{number}.example", 80, 10.0)
    assert len(resolver._cache) == 10
    resolver.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for sealed.example and 127.0.0.1 that nobody vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("sealed.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return pem


@pytest.fixture
def sealed(certificate: Path) -> Iterator[int]:
    """Port of a TLS server that answers one request after the other, /drip slowly."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(plain: socket.socket) -> None:
            with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
                while head := connection.recv(65_536):
                    if b"/drip" in head:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
                        while True:  # until nobody listens any more
                            time.sleep(0.05)
                            connection.sendall(b"x")
                    connection.sendall(ok(b"sealed"))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    context = tls_context()
    context.load_verify_locations(certificate)
    return context


def test_certificates_are_verified(sealed: int, trusting: ssl.SSLContext) -> None:
    local = at("127.0.0.1")
    assert get(f"https://sealed.example:{sealed}/x", local, tls=trusting) == b"sealed"
    assert get(f"https://127.0.0.1:{sealed}/x", local, tls=trusting) == b"sealed"
    stranger = fails(f"https://sealed.example:{sealed}/x", local)
    assert stranger.reason == Reason.TLS_FAILED
    assert "certificate" in stranger.detail
    other = fails(f"https://other.example:{sealed}/x", local, tls=trusting)
    assert other.reason == Reason.TLS_FAILED
    assert "other.example" in other.detail


def test_what_is_no_tls(wire: Wire) -> None:
    error = fails(wire.url().replace("http:", "https:"), at("127.0.0.1"), seconds=1.0)
    assert error.reason in (Reason.TLS_FAILED, Reason.TIMEOUT)


def test_deadlines_hold_under_tls(sealed: int, trusting: ssl.SSLContext) -> None:
    error = fails(f"https://sealed.example:{sealed}/drip", at("127.0.0.1"), seconds=0.5, tls=trusting)
    assert error.reason == Reason.TIMEOUT
    with socket.create_server(("127.0.0.1", 0)) as silent:  # shakes no hands
        url = f"https://sealed.example:{silent.getsockname()[1]}/x"
        assert fails(url, at("127.0.0.1"), seconds=0.3, tls=trusting).reason == Reason.TIMEOUT


def test_tls_connections_are_kept_too(sealed: int, trusting: ssl.SSLContext) -> None:
    met: list[str] = []

    def counting(host: str, port: int, _: float) -> list[Address]:
        met.append(host)
        return at("127.0.0.1")(host, port)

    client = HttpClient(agent="birds", resolve=counting, tls=trusting)
    for _ in range(3):
        url = f"https://sealed.example:{sealed}/x"
        assert (
            client.get(url, networks=FIRST_ONLY, max_bytes=9, until=time.monotonic() + 10).body == b"sealed"
        )
    assert met == ["sealed.example"]
    client.close()
