"""On the way through an HTTP proxy: which one, when, and when not."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from mcp_ferry._ferry import Server
from tests.support.ferry import INITIALIZE, TOOLS_LIST, Ferry
from tests.support.relays import HttpProxy, TlsFront

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    with HttpProxy() as proxy:
        yield proxy


def carries(*arguments: str, **environ: str) -> None:
    with Ferry(*arguments, env=environ) as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert "result" in ferry.reply(1), ferry.reply(1)
        assert "result" in ferry.reply(2)
        assert ferry.end() == 0


def test_a_proxy_by_flag(server: Server, proxy: HttpProxy) -> None:
    carries(server.url, "--proxy", proxy.address)
    assert proxy.heads


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_by_the_usual_environment(server: Server, proxy: HttpProxy, name: str) -> None:
    carries(server.url, **{name: proxy.address})
    assert all(head.startswith(f"POST {server.url} ") or "HTTP/1.1" in head for head in proxy.heads)
    assert proxy.heads


@pytest.mark.parametrize("excepted", ["127.0.0.1", "*", "example.com,127.0.0.0/8"])
def test_no_proxy_goes_straight(server: Server, proxy: HttpProxy, excepted: str) -> None:
    carries(server.url, HTTP_PROXY=proxy.address, NO_PROXY=excepted)
    assert proxy.heads == []


def test_the_flag_wins_over_the_environment(server: Server, proxy: HttpProxy) -> None:
    carries(server.url, "--proxy", proxy.address, HTTP_PROXY=NOWHERE)
    assert proxy.heads


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_https_goes_through_a_tunnel(server: Server, proxy: HttpProxy, tmp_path: Path, how: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    behind = int(server.url.split(":")[2].split("/")[0])
    with TlsFront(context, behind) as front:
        trust = ("--ca-cert", str(tmp_path / "ca.pem"))
        if how == "flag":
            carries(front.url, *trust, "--proxy", proxy.address)
        else:
            carries(front.url, *trust, HTTPS_PROXY=proxy.address)
        assert {head.split("\r\n")[0] for head in proxy.heads} == {f"CONNECT localhost:{front.port} HTTP/1.1"}
        assert not any("mcp-session-id" in head.lower() for head in proxy.heads)


def test_the_proxys_own_credentials_go_to_the_proxy_alone(server: Server, proxy: HttpProxy) -> None:
    expected = "proxy-authorization: basic " + base64.b64encode(b"me:secret").decode().lower()
    with_credentials = proxy.address.replace("http://", "http://me:secret@")
    carries(server.url, "--proxy", with_credentials)
    assert all(expected in head.lower() for head in proxy.heads)


def test_a_proxy_that_is_not_there_is_an_error_reply(server: Server) -> None:
    with Ferry(server.url, "--proxy", NOWHERE, "--timeout", "2") as ferry:
        ferry.write(INITIALIZE)
        assert "error" in ferry.reply(1)
        assert ferry.end() == 0
