"""Servers that die and come back, and streams that are cut, through a real process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from mcp_ferry._ferry import Server
from tests.support.ferry import DEADLINE, INITIALIZE, INITIALIZED, Ferry, call, is_response_to
from tests.support.peer import Exchange, Peer
from tests.support.sightings import Sightings

FOREVER = 3600
CALLS = range(100, 150)
OK = 200


class Mortal:
    """The strict server, on one port for all its lives."""

    def __init__(self, *, events: bool) -> None:
        self.sightings = Sightings()
        self.is_streaming = events
        self._server = Server(events=events, observe=self.sightings.see)
        self.url = self._server.url
        self._port = int(self.url.rpartition(":")[2].partition("/")[0])

    def die(self) -> None:
        """Cut every connection and forget every session."""
        self._server.close()

    def revive(self) -> None:
        """Listen again, as one that knows nobody."""
        self._server = Server(port=self._port, events=self.is_streaming, observe=self.sightings.see)


@pytest.fixture(params=[False, True], ids=["json", "events"])
def server(request: pytest.FixtureRequest) -> Iterator[Mortal]:
    mortal = Mortal(events=request.param)
    yield mortal
    mortal.die()


def open_session(ferry: Ferry) -> None:
    ferry.write(INITIALIZE, INITIALIZED)
    assert "result" in ferry.reply(1)


def text_of(reply: dict[str, Any]) -> Any:
    [content] = reply["result"]["content"]
    return content["text"]


def test_a_restart_between_two_calls_is_not_seen(server: Mortal) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "echo", text="before"))
        assert text_of(ferry.reply(2)) == "before"
        server.die()
        server.revive()
        ferry.write(*(call(number, "echo", text=str(number)) for number in CALLS))
        for number in CALLS:
            assert text_of(ferry.reply(number)) == str(number)
        assert ferry.end() == 0
        told = {message["method"] for message in ferry.messages if "method" in message}
    assert told <= {"notifications/tools/list_changed"}, "of the restart, only what may have changed by it"
    assert len(server.sightings.opened) == 2, "one new session, however many calls were refused"


def test_a_server_that_is_away_for_a_moment_is_waited_for(server: Mortal) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        server.die()
        ferry.write(call(2, "echo", text="patience"))
        # Nothing tells that a connection was refused; whatever happens first, the call is answered.
        back = threading.Timer(1.0, server.revive)
        back.start()
        assert text_of(ferry.reply(2)) == "patience"
        back.join()
        assert ferry.end() == 0


def test_a_server_that_stays_away_is_an_error_and_the_next_call_finds_it_again(server: Mortal) -> None:
    with Ferry(server.url, "--timeout", "1") as ferry:
        open_session(ferry)
        server.die()
        ferry.write(call(2, "echo", text="nobody"))
        data = ferry.reply(2)["error"]["data"]
        assert data["kind"] == "unreachable"
        assert data["maybeProcessed"] is False
        assert data["attempts"] > 1
        server.revive()
        ferry.write(call(3, "echo", text="again"))
        assert text_of(ferry.reply(3)) == "again"
        assert ferry.end() == 0


def test_a_restart_in_the_middle_of_50_calls(server: Mortal) -> None:
    """The first 50 calls run when the server dies; 50 more wait for their turn and have not started."""
    waiting = range(200, 250)
    # The timeout is no way out: what is lost is lost as soon as the server is back.
    with Ferry(server.url, "--concurrency", str(len(CALLS)), "--timeout", str(FOREVER)) as ferry:
        open_session(ferry)
        ferry.write(*(slow(number) for number in CALLS))
        ferry.write(*(call(number, "echo", text=str(number)) for number in waiting))
        for number in CALLS:
            ferry.wait_for(partial(is_progress_of, number), f"progress of {number}")
        server.die()
        server.revive()
        for number in CALLS:
            assert ferry.reply(number)["error"]["data"]["maybeProcessed"] is True
        for number in waiting:
            assert text_of(ferry.reply(number)) == str(number)
        assert ferry.end() == 0
        replies = ferry.messages
    for number in (1, *CALLS, *waiting):
        assert sum(is_response_to(message, number) for message in replies) == 1
    ran = [
        message["id"]
        for message in server.sightings.messages
        if message["method"] == "tools/call" and message["status"] == OK
    ]
    assert len(ran) == len(set(ran)), "no call was taken twice"


def slow(number: int) -> dict[str, Any]:
    """A call that tells of its progress at once and does not end."""
    message = call(number, "slow", seconds=FOREVER, steps=FOREVER * 4)
    message["params"]["_meta"] = {"progressToken": number}
    return message


def is_progress_of(number: int, value: Any) -> bool:
    is_progress: bool = value.get("method") == "notifications/progress"
    return is_progress and value["params"]["progressToken"] == number


# Streams


RETRY = 0.3


class Stream:
    """A peer that cuts the stream of every call after an event with an id, and lets it go on by GET."""

    def __init__(self) -> None:
        self.cut_at = 0.0
        self.resumed: list[tuple[str, float]] = []
        """What each GET named as its last event, and how long after the cut it came."""

    def answer(self, exchange: Exchange) -> None:
        last = exchange.headers.get("last-event-id")
        if exchange.command == "GET" and last:
            self.resumed.append((last, time.monotonic() - self.cut_at))
            reply = b'{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"resumed"}]}}'
            exchange.send_chunks("text/event-stream", [b"id: last\ndata: " + reply + b"\n\n"])
        elif not exchange.greet():
            cut_after(exchange, b"retry: %d\n\nid: first\ndata:\n\nid: never" % (RETRY * 1000))
            self.cut_at = time.monotonic()


def cut_after(exchange: Exchange, data: bytes) -> None:
    """Begin an event stream with these bytes, and break the connection."""
    exchange.send_response(200)
    exchange.send_header("content-type", "text/event-stream")
    exchange.send_header("transfer-encoding", "chunked")
    exchange.end_headers()
    exchange.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
    exchange.close_connection = True


def test_a_stream_cut_after_an_event_id_goes_on_after_the_servers_pause() -> None:
    stream = Stream()
    with Peer(stream.answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "any"))
        assert text_of(ferry.reply(2)) == "resumed"
        assert ferry.end() == 0
    [(last, pause)] = stream.resumed
    assert last == "first", "the id of an event that never ended does not count"
    assert pause >= RETRY * 0.9  # a lower bound, which no slow machine breaks; the clocks' grain is taken off


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_stream_that_may_not_go_on_is_reported_honestly(status: int) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.command == "GET" and exchange.headers.get("last-event-id"):
            exchange.send(status)
        elif not exchange.greet():
            calls.append(exchange.message["id"])
            cut_after(exchange, b"id: first\ndata:\n\n")

    calls: list[int] = []
    with Peer(answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "any"))
        assert ferry.reply(2)["error"]["data"]["maybeProcessed"] is True
        assert ferry.end() == 0
    assert calls == [2]


def test_a_stream_does_not_go_on_in_a_session_that_does_not_know_it() -> None:
    """Another call finds the session lost while the cut stream waits for its turn to go on."""
    sessions: list[str] = []
    resumed: list[str] = []
    cut = threading.Event()

    def answer(exchange: Exchange) -> None:
        method = exchange.message["method"] if exchange.message else ""
        if method == "initialize":
            sessions.append(f"session-{len(sessions)}")
            result = {"protocolVersion": "2025-11-25", "capabilities": {}}
            reply = {"jsonrpc": "2.0", "id": exchange.message["id"], "result": result}
            exchange.send_json(reply, Mcp_Session_Id=sessions[-1])
        elif exchange.command == "POST" and exchange.headers["mcp-session-id"] != sessions[-1]:
            exchange.send(404)
        elif exchange.headers.get("last-event-id"):
            resumed.append(exchange.headers["mcp-session-id"])
            exchange.send(400)
        elif method == "tools/call" and exchange.message["id"] == 2:
            sessions.append("a session that nobody was told of")
            cut_after(exchange, b"retry: 1000\n\nid: first\ndata:\n\n")
            cut.set()
        elif method == "tools/call":
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {"content": []}})
        else:
            exchange.greet()

    with Peer(answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "any"))
        assert cut.wait(DEADLINE)
        ferry.write(call(3, "any"))
        assert "result" in ferry.reply(3)
        assert ferry.reply(2)["error"]["data"]["maybeProcessed"] is True
        assert ferry.end() == 0
    assert set(resumed) <= {"session-0"}


def test_a_stream_whose_server_is_gone_is_reported_honestly() -> None:
    """The server dies after it began to answer; from then on nobody is there to go on."""
    gone = threading.Event()

    def answer(exchange: Exchange) -> None:
        if gone.is_set():
            exchange.close_connection = True
        elif not exchange.greet():
            gone.set()
            cut_after(exchange, b"retry: 1000\n\nid: first\ndata:\n\n")

    with ExitStack() as life:
        peer = life.enter_context(Peer(answer))
        with Ferry(peer.url, "--timeout", "3") as ferry:
            open_session(ferry)
            ferry.write(call(2, "any"))
            assert gone.wait(DEADLINE)
            life.close()
            assert ferry.reply(2)["error"]["data"]["maybeProcessed"] is True


def test_a_listener_that_is_cut_goes_on_after_its_last_event() -> None:
    opened: list[str | None] = []
    over = threading.Event()

    def answer(exchange: Exchange) -> None:
        if exchange.command != "GET":
            if not exchange.greet():
                exchange.send(500)
            return
        opened.append(exchange.headers.get("last-event-id"))
        number = len(opened)
        notice = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":%d}}' % number
        data = b"retry: 50\n\nid: event-%d\ndata: %b\n\n" % (number, notice)
        if number < 4:
            cut_after(exchange, data)
        else:
            exchange.send_response(200)
            exchange.send_header("content-type", "text/event-stream")
            exchange.end_headers()
            exchange.wfile.write(data)
            over.wait()

    with Peer(answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.wait_for_many(4, lambda value: value.get("method") == "notifications/message")
        assert ferry.end() == 0
        over.set()
    assert opened == [None, "event-1", "event-2", "event-3"]
