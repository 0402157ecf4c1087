"""Cookies by which load balancers know where a session lives."""

from __future__ import annotations

from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, request
from tests.support.peer import Exchange, Peer


class Balancer:
    """The answers of a server behind a load balancer that names the host in a cookie."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        """The method of each message, or of the HTTP request, and its Cookie, in order."""

        self.hosts = 0
        self.lost = False
        self.elsewhere: str | None = None

    def __call__(self, exchange: Exchange) -> None:
        what = exchange.message["method"] if exchange.message else exchange.command
        self.seen.append((what, exchange.headers.get("cookie")))
        if what == "initialize":
            self.hosts += 1
            self.lost = False
            exchange.also_send = {"Set-Cookie": f"HOST={self.hosts}; Path=/; HttpOnly"}
        if self.elsewhere and what == "tools/list":
            exchange.send(307, location=self.elsewhere)
        elif self.lost and exchange.command == "POST":
            exchange.send(404)
        elif not exchange.greet():
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    def cookies_of(self, what: str) -> list[str | None]:
        """The cookies that these came with."""
        return [cookie for seen, cookie in self.seen if seen == what]


def test_a_cookie_of_the_session_comes_back_until_its_end() -> None:
    balancer = Balancer()
    with Peer(balancer) as peer, Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, TOOLS_LIST)
        assert "result" in ferry.reply(2)
        assert ferry.end() == 0
    assert balancer.cookies_of("initialize") == [None]
    for what in ("notifications/initialized", "tools/list", "GET", "DELETE"):
        assert balancer.cookies_of(what) == ["HOST=1"]


def test_a_new_session_begins_without_the_old_ones_cookies() -> None:
    balancer = Balancer()
    with Peer(balancer) as peer, Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED)
        ferry.reply(1)
        ferry.write({**INITIALIZE, "id": 2}, INITIALIZED, request(3, "ping"))
        assert "result" in ferry.reply(3)
        assert ferry.end() == 0
    assert balancer.cookies_of("initialize") == [None, None]
    assert balancer.cookies_of("ping") == ["HOST=2"]
    assert balancer.cookies_of("DELETE") == ["HOST=1", "HOST=2"]


def test_a_session_that_was_lost_is_asked_for_without_its_cookies() -> None:
    balancer = Balancer()
    with Peer(balancer) as peer, Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, TOOLS_LIST)
        ferry.reply(2)
        balancer.lost = True
        ferry.write(request(3, "ping"))
        assert "result" in ferry.reply(3)
        assert ferry.end() == 0
    assert balancer.cookies_of("initialize") == [None, None]
    assert balancer.cookies_of("ping") == ["HOST=1", "HOST=2"]


def test_a_cookie_of_the_users_own_stays_beside_it() -> None:
    balancer = Balancer()
    with Peer(balancer) as peer, Ferry(peer.url, "--header", "Cookie: own=1") as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert "result" in ferry.reply(2)
        assert ferry.end() == 0
    assert balancer.cookies_of("initialize") == ["own=1"]
    assert balancer.cookies_of("tools/list") == ["own=1; HOST=1"]


def test_no_cookie_goes_to_another_origin() -> None:
    balancer, stranger = Balancer(), Balancer()
    with Peer(balancer) as peer, Peer(stranger) as other, Ferry(peer.url) as ferry:
        balancer.elsewhere = other.url
        ferry.write(INITIALIZE, INITIALIZED, TOOLS_LIST)
        assert ferry.reply(2)["error"]["data"]["kind"] == "redirect"
        assert ferry.end() == 0
    assert balancer.cookies_of("tools/list") == ["HOST=1"]
    assert stranger.seen == []
