"""Certificates that nobody should take: a store behind one is refused in one line, a picture has a reason."""

import datetime
import os
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.collect.web.connection import tls_context
from stages.reasons import Reason
from stages.store import open_store
from tests.stages.collect.web.test_connection import at, fails

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
LOCAL = x509.IPAddress(ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("other.example")


def certificate(path: Path, name: x509.GeneralName, until: datetime.datetime, *, authority: bool) -> Path:
    """A certificate that has signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(until - 3 * DAY)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


KINDS = {
    "authority": (LOCAL, DAY, True),
    "stranger": (LOCAL, DAY, False),
    "expired": (LOCAL, -DAY, False),
    "other name": (ELSEWHERE, DAY, False),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """An HTTPS server with such a certificate; what it was asked for."""
    name, life, authority = request.param
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append(self.path)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:  # who refuses the certificate hangs up
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "server.pem", name, NOW + life, authority=authority))
    with Quiet(("127.0.0.1", 0), Handler) as quiet:
        quiet.socket = context.wrap_socket(quiet.socket, server_side=True)
        thread = threading.Thread(target=quiet.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{quiet.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield asked
        quiet.shutdown()
        thread.join()


def test_a_store_behind_a_certificate_that_is_no_good_is_refused_in_one_line(server: list[str]) -> None:
    with pytest.raises(ValueError, match=r"certificate is refused, .*; check the address") as told:
        open_store("s3://bucket/prefix")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 250
    assert server == []


@pytest.mark.parametrize("server", [KINDS["expired"], KINDS["other name"]], indirect=True)
def test_a_picture_behind_one_has_a_reason(server: list[str], tmp_path: Path) -> None:
    """Even where this machine trusts who signed it."""
    trusting = tls_context()
    trusting.load_verify_locations(tmp_path / "server.pem")
    error = fails(f"{os.environ['AWS_ENDPOINT_URL']}/a.png", at("127.0.0.1"), tls=trusting)
    assert error.reason == Reason.TLS_FAILED
    assert "certificate" in error.detail
    assert server == []
