"""https, with real certificates: whom the ferry trusts, and what it says when it does not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from mcp_ferry._ferry import Server
from tests.support.ferry import INITIALIZE, TOOLS_LIST, Ferry
from tests.support.relays import TlsFront


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and what it issued, as files."""

    ca: trustme.CA
    directory: Path

    @property
    def file(self) -> str:
        path = self.directory / "ca.pem"
        self.ca.cert_pem.write_to_path(path)
        return str(path)

    def server_context(self, name: str = "localhost") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        return context

    def client_files(self) -> tuple[str, str]:
        issued = self.ca.issue_cert("client@example.com")
        certificate, key = self.directory / "client.pem", self.directory / "client.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return str(certificate), str(key)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(trustme.CA(), tmp_path)


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a plain server, to stand behind a TLS front."""
    with Server() as server:
        yield int(server.url.split(":")[2].split("/")[0])


def carries(*arguments: str) -> None:
    with Ferry(*arguments) as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert "result" in ferry.reply(1), ferry.reply(1)
        assert "result" in ferry.reply(2)
        assert ferry.end() == 0


def refusal(*arguments: str) -> str:
    """What the client is told when the session cannot be opened."""
    with Ferry(*arguments) as ferry:
        ferry.write(INITIALIZE)
        message = ferry.reply(1)["error"]["message"]
        assert ferry.end() == 0
    assert isinstance(message, str)
    return message


def test_an_authority_of_the_users_own(authority: Authority, port: int) -> None:
    with TlsFront(authority.server_context(), port) as front:
        carries(front.url, "--ca-cert", authority.file)


def test_an_unknown_authority_is_an_error_that_names_the_remedy(authority: Authority, port: int) -> None:
    with TlsFront(authority.server_context(), port) as front:
        message = refusal(front.url)
    assert "certificate" in message.lower()
    assert "ca-cert" in message
    assert "\n" not in message


def test_the_wrong_authority_is_no_better(authority: Authority, port: int, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(trustme.CA(), tmp_path / "other")
    with TlsFront(authority.server_context(), port) as front:
        assert "ca-cert" in refusal(front.url, "--ca-cert", other.file)


def test_a_certificate_for_another_name_is_refused(authority: Authority, port: int) -> None:
    with TlsFront(authority.server_context("elsewhere.example"), port) as front:
        assert "certificate" in refusal(front.url, "--ca-cert", authority.file).lower()


def test_insecure_accepts_anything(authority: Authority, port: int) -> None:
    with TlsFront(authority.server_context("elsewhere.example"), port) as front:
        carries(front.url, "--insecure")


def demanding(authority: Authority) -> ssl.SSLContext:
    """A server that wants to see a client certificate."""
    context = authority.server_context()
    authority.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("files", ["two files", "one file"])
def test_a_client_certificate_is_shown(authority: Authority, port: int, files: str, tmp_path: Path) -> None:
    certificate, key = authority.client_files()
    shown = ["--client-cert", certificate, "--client-key", key]
    if files == "one file":
        both = tmp_path / "both.pem"
        both.write_text(Path(certificate).read_text() + Path(key).read_text())
        shown = ["--client-cert", str(both)]
    with TlsFront(demanding(authority), port) as front:
        carries(front.url, "--ca-cert", authority.file, *shown)
        assert all(front.subjects)


def test_a_missing_client_certificate_is_an_error_reply(authority: Authority, port: int) -> None:
    with TlsFront(demanding(authority), port) as front:
        assert refusal(front.url, "--ca-cert", authority.file)
