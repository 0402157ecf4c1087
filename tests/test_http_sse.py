"""Servers of 2024-11-05: found by the specification's procedure, and carried to like any other."""

from __future__ import annotations

import signal

import pytest

from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, call, request
from tests.support.old_server import OldServer
from tests.support.peer import Peer

PROBED = [("/mcp", "initialize"), ("/mcp", "GET")]
CONVERSATION = [("/message", method) for method in ("initialize", "notifications/initialized", "tools/list")]


def converse(ferry: Ferry) -> None:
    ferry.write(INITIALIZE, INITIALIZED, TOOLS_LIST)
    assert ferry.reply(1)["result"]["serverInfo"]["name"] == "old"
    assert ferry.reply(2)["result"] == {"method": "tools/list"}


@pytest.mark.parametrize("refusal", [400, 404, 405])
def test_it_is_found_after_the_refusals_that_the_specification_names(refusal: int) -> None:
    with OldServer(refusal=refusal) as server, Ferry(server.url) as ferry:
        converse(ferry)
        # What was found is remembered.
        ferry.write(call(3, "echo"), {**INITIALIZE, "id": 4})
        assert "result" in ferry.reply(3)
        assert "result" in ferry.reply(4)
        assert ferry.end() == 0
        assert len(ferry.lines) == 4
        assert ferry.stderr == ""
    assert server.seen[:5] == PROBED + CONVERSATION
    assert server.seen.count(("/mcp", "initialize")) == 1


def test_it_is_not_looked_for_after_other_refusals() -> None:
    with OldServer(refusal=500) as server, Ferry(server.url) as ferry:
        ferry.write(INITIALIZE)
        assert ferry.reply(1)["error"]["data"]["httpStatus"] == 500
        assert ferry.end() == 0
    assert server.seen == PROBED[:1]


def test_told_so_it_is_not_looked_for() -> None:
    with OldServer() as server, Ferry(server.url, "--transport", "sse") as ferry:
        converse(ferry)
        assert ferry.end() == 0
    assert server.seen == PROBED[1:] + CONVERSATION


def test_told_otherwise_it_is_not_looked_for_either() -> None:
    with OldServer() as server, Ferry(server.url, env={"MCP_FERRY_TRANSPORT": "http"}) as ferry:
        ferry.write(INITIALIZE)
        assert ferry.reply(1)["error"]["data"]["httpStatus"] == 405
        assert ferry.end() == 0
    assert server.seen == PROBED[:1]


def test_a_server_that_is_neither_is_an_error_of_the_first_answer() -> None:
    with Peer(lambda exchange: exchange.send(404, b"no such page")) as peer, Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE)
        error = ferry.reply(1)["error"]
        assert error["data"]["httpStatus"] == 404
        assert "check the path of the URL" in error["message"]
        assert ferry.end() == 0


@pytest.mark.parametrize("flags", [(), ("--transport", "sse")])
def test_an_endpoint_of_another_origin_is_refused(flags: tuple[str, ...]) -> None:
    reached: list[object] = []
    with Peer(reached.append) as other:
        foreign = other.url + "?stream={number}"
        with OldServer(endpoint=foreign) as server, Ferry(server.url, *flags) as ferry:
            ferry.write(INITIALIZE)
            error = ferry.reply(1)["error"]
            assert ferry.end() == 0
    assert reached == []
    assert "origin" in error["message"]
    assert other.url in error["message"]


def test_a_whole_address_of_the_same_origin_will_do() -> None:
    with OldServer(endpoint="{base}/message?stream={number}") as server, Ferry(server.url) as ferry:
        converse(ferry)
        assert ferry.end() == 0


def test_what_the_server_says_by_itself_comes_through() -> None:
    with OldServer() as server, Ferry(server.url) as ferry:
        converse(ferry)
        server.say({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        ferry.wait_for(lambda message: message.get("method") == "roots/list")
        ferry.write({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}})
        server.wait_for("response")
        assert ferry.end() == 0
    assert ("/message", "response") in server.seen


def test_a_stream_that_is_cut_between_calls_does_not_show() -> None:
    with OldServer() as server, Ferry(server.url) as ferry:
        converse(ferry)
        server.cut()
        ferry.wait_for_stderr("stream broke")
        ferry.write(call(3, "echo"))
        assert "result" in ferry.reply(3)
        assert ferry.end() == 0
        assert len(ferry.lines) == 3
    assert server.seen.count(PROBED[0]) == 1, "what was found is remembered"
    assert server.seen.count(PROBED[1]) == 2


def test_a_cut_that_the_call_meets_first_does_not_show_either() -> None:
    with OldServer() as server, Ferry(server.url) as ferry:
        converse(ferry)
        for number in range(10, 20):
            server.cut()
            ferry.write(call(number, "echo"))
            assert "result" in ferry.reply(number)
        assert ferry.end() == 0


def test_a_call_whose_stream_is_cut_is_not_run_twice() -> None:
    with OldServer() as server, Ferry(server.url) as ferry:
        converse(ferry)
        ferry.write(call(3, "late"))
        server.wait_for("tools/call")
        server.cut()
        error = ferry.reply(3)["error"]
        assert error["data"]["maybeProcessed"] is True
        ferry.write(request(4, "ping"))
        assert "result" in ferry.reply(4)
        assert ferry.end() == 0
    assert server.seen.count(("/message", "tools/call")) == 1


def test_the_end_of_stdin_waits_for_what_is_owed() -> None:
    with OldServer() as server, Ferry(server.url) as ferry:
        converse(ferry)
        ferry.write(call(3, "late"))
        server.wait_for("tools/call")
        ferry.close_stdin()
        server.release()
        assert ferry.wait() == 0
        assert "result" in ferry.reply(3)


def test_a_signal_ends_it() -> None:
    with OldServer() as server, Ferry(server.url) as ferry:
        converse(ferry)
        ferry.write(call(3, "late"))
        server.wait_for("tools/call")
        ferry.signal(signal.SIGTERM)
        assert ferry.wait() == 0
        assert "error" in ferry.reply(3)
