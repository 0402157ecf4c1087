"""The crossing, through a real process, against the strict server that comes along."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from mcp_ferry._ferry import Server
from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, call, is_response_to, request
from tests.support.peer import Exchange, Peer

MIB = 1 << 20
ELICITING = {**INITIALIZE, "params": {**INITIALIZE["params"], "capabilities": {"elicitation": {}}}}
FOREVER = 3600


class Watched:
    """The server, and what it saw."""

    def __init__(self, *, events: bool) -> None:
        self._exchanges: list[dict[str, Any]] = []
        self.server = Server(events=events, observe=self._exchanges.append)
        self.url = self.server.url

    def seen(self) -> list[dict[str, Any]]:
        """Every exchange, in order; ends the server, so that none is still being told."""
        self.server.close()
        return self._exchanges


@pytest.fixture(params=[False, True], ids=["json", "events"])
def server(request: pytest.FixtureRequest) -> Iterator[Watched]:
    watched = Watched(events=request.param)
    with watched.server:
        yield watched


def open_session(ferry: Ferry) -> None:
    ferry.write(INITIALIZE, INITIALIZED)
    assert "result" in ferry.reply(1)


def text_of(reply: dict[str, Any]) -> str:
    [content] = reply["result"]["content"]
    assert isinstance(content["text"], str)
    return content["text"]


def elicitation(value: Any) -> bool:
    return isinstance(value, dict) and value.get("method") == "elicitation/create"


def answer_to(question: dict[str, Any]) -> dict[str, Any]:
    content = {"answer": question["params"]["message"].upper()}
    return {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content}}


# The conversation that the project began with


@pytest.mark.parametrize("stdin", ["kept open", "closed at once"])
def test_both_lines_at_once(server: Watched, stdin: str) -> None:
    with Ferry(server.url) as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        if stdin == "closed at once":
            ferry.close_stdin()
        assert ferry.reply(1)["result"]["protocolVersion"] == "2025-03-26"
        assert {tool["name"] for tool in ferry.reply(2)["result"]["tools"]} == {"echo", "add", "slow", "ask"}
        ferry.close_stdin()
        assert ferry.wait() == 0
        assert len(ferry.lines) == 2
        assert ferry.stderr == ""
    seen = server.seen()
    assert [exchange["method"] for exchange in seen] == ["POST", "POST", "DELETE"]
    first, second, last = (dict(exchange["headers"]) for exchange in seen)
    assert "mcp-session-id" not in first
    session = seen[0]["issued_session"]
    for headers in (second, last):
        assert headers["mcp-session-id"] == session
        assert headers["mcp-protocol-version"] == "2025-03-26"


def test_nothing_is_sent_before_the_client_speaks(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        assert ferry.end() == 0
    assert server.seen() == []


def test_no_initialize_at_all_gets_the_servers_own_error(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        ferry.write(TOOLS_LIST)
        assert "error" in ferry.reply(2)
        assert ferry.end() == 0


# Many at once


def test_200_requests_at_once_right_after_initialize(server: Watched) -> None:
    requests = [call(number, "echo", text=f"text {number}") for number in range(100, 300)]
    with Ferry(server.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, *requests)
        for number in range(100, 300):
            assert text_of(ferry.reply(number)) == f"text {number}"
        assert ferry.end() == 0
        assert len(ferry.lines) == 201


def test_200_requests_and_the_end_of_input_at_once(server: Watched) -> None:
    requests = [call(number, "echo", text="x" * number) for number in range(100, 300)]
    with Ferry(server.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, *requests)
        assert ferry.end() == 0
        assert sorted(message["id"] for message in ferry.messages) == [1, *range(100, 300)]


def test_a_slow_call_delays_nobody(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "slow", seconds=FOREVER), call(3, "add", a=2, b=3))
        assert text_of(ferry.reply(3)) == "5"


@pytest.mark.parametrize("concurrency", ["128", "2"])
def test_64_calls_that_each_wait_for_an_elicitation(server: Watched, concurrency: str) -> None:
    with Ferry(server.url, "--concurrency", concurrency) as ferry:
        ferry.write(ELICITING, INITIALIZED)
        ferry.reply(1)
        ferry.write(*(call(number, "ask", question=f"question {number}") for number in range(100, 164)))
        together = min(64, int(concurrency))
        for answered in range(0, 64, together):
            lines = ferry.wait_for_many(answered + together, elicitation, "elicitations")
            ferry.write(*(answer_to(line.value) for line in lines[answered:]))
        for number in range(100, 164):
            assert f"QUESTION {number}" in text_of(ferry.reply(number))
        assert ferry.end() == 0


def test_progress_arrives_before_its_reply(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        slow = request(
            2, "tools/call", name="slow", arguments={"ms": 200, "steps": 4}, _meta={"progressToken": "p"}
        )
        ferry.write(slow)
        progress = ferry.wait_for_many(4, lambda value: value.get("method") == "notifications/progress")
        assert [line.value["params"]["progress"] for line in progress] == [1, 2, 3, 4]
        ferry.reply(2)
        assert ferry.end() == 0


# Bytes


@pytest.mark.parametrize(
    "identifier",
    ["9007199254740993", "-1", "1.0", '"1"', '"' + "x" * 300 + '"', "1" * 40, '"\\u00e9\\/"', "1e2"],
)
def test_an_id_keeps_its_type_and_bytes(identifier: str) -> None:
    """The peer answers with the id as it found it, byte for byte."""

    def answer(exchange: Exchange) -> None:
        if not exchange.greet():
            exchange.send_json(b'{"jsonrpc":"2.0","id":%b,"result":{"v":1.0}}' % identifier.encode())

    with Peer(answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.write(f'{{"jsonrpc":"2.0","id":{identifier},"method":"ping"}}')
        line = ferry.wait_for(lambda value: "result" in value and "v" in value["result"])
        assert line.raw == b'{"jsonrpc":"2.0","id":%b,"result":{"v":1.0}}\n' % identifier.encode()
        assert ferry.end() == 0


def test_ids_that_look_alike_are_kept_apart(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(*(call(number, "echo", text=repr(number)) for number in (7, "7", 7.0)))
        for number in (7, "7", 7.0):
            assert text_of(ferry.reply(number)) == repr(number)
        assert ferry.end() == 0


def test_16_mib_each_way(server: Watched) -> None:
    text = "0123456789abcdef" * MIB
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "echo", text=text))
        assert text_of(ferry.reply(2)) == text
        assert ferry.end() == 0


@pytest.mark.parametrize("kind", ["json", "events"])
def test_10_000_levels_of_nesting_each_way(kind: str) -> None:
    deep = b"[" * 10_000 + b"1.0" + b"]" * 10_000
    question = (
        b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x","arguments":{"deep":%b}}}' % deep
    )
    reply = b'{"jsonrpc":"2.0","id":2,"result":{"deep":%b}}' % deep
    bodies: list[bytes] = []

    def answer(exchange: Exchange) -> None:
        if exchange.greet():
            return
        bodies.append(exchange.body)
        if kind == "json":
            exchange.send_json(reply)
        else:
            exchange.send_chunks("text/event-stream", [b"data: " + reply + b"\n\n"])

    with Peer(answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.write(question)
        line = ferry.wait_for(lambda value: value is None or value["id"] == 2)
        assert line.raw == reply + b"\n"
        assert ferry.end() == 0
    assert bodies == [question]


def test_what_is_not_a_message_is_answered_and_the_ferry_goes_on(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(
            "{not json", "", "42", '{"jsonrpc":"2.0","id":null,"method":"ping"}', call(2, "echo", text="on")
        )
        assert text_of(ferry.reply(2)) == "on"
        assert ferry.end() == 0
        codes = [message["error"]["code"] for message in ferry.messages if message["id"] is None]
    assert sorted(codes) == [-32700, -32600, -32600]


def test_a_message_over_the_limit_is_refused_under_its_id(server: Watched) -> None:
    with Ferry(server.url, "--max-message-size", "1MiB") as ferry:
        open_session(ferry)
        ferry.write(call(2, "echo", text="x" * (2 * MIB)), call(3, "echo", text="on"))
        assert text_of(ferry.reply(3)) == "on"
        assert ferry.end() == 0
        refusals = [message for message in ferry.messages if "error" in message]
    assert [refusal["id"] for refusal in refusals] in ([2], [None])


def test_unknown_methods_keep_the_servers_own_error(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(request(2, "no/such"))
        assert ferry.reply(2)["error"]["code"] == -32601
        assert ferry.end() == 0


# Errors


def test_a_server_that_is_not_there_is_an_error_under_the_right_id() -> None:
    with Peer(lambda _: None) as peer:
        gone = peer.url
    with Ferry(gone, "--timeout", "2") as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        for number in (1, 2):
            error = ferry.reply(number)["error"]
            assert not -32768 <= error["code"] <= -32000
            assert {"kind", "httpStatus", "attempts", "maybeProcessed"} <= set(error["data"])
        assert ferry.end() == 0


def test_silence_is_an_error_after_the_timeout_and_the_server_is_told(server: Watched) -> None:
    with Ferry(server.url, "--timeout", "0.5") as ferry:
        open_session(ferry)
        ferry.write(call(2, "slow", seconds=FOREVER))
        assert "error" in ferry.reply(2)
        assert ferry.end() == 0
    assert any(b"notifications/cancelled" in exchange["body"] for exchange in server.seen())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500, 503])
def test_an_http_error_is_an_error_under_the_requests_id(status: int) -> None:
    def answer(exchange: Exchange) -> None:
        if not exchange.greet():
            exchange.send(status, b"<h1>\x1b[31mno</h1>", content_type="text/html")

    with Peer(answer) as peer, Ferry(peer.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "echo", text="x"))
        assert ferry.reply(2)["error"]["data"]["httpStatus"] == status
        assert ferry.end() == 0
        assert "\x1b" not in ferry.stderr


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_session_and_the_process(server: Watched, number: signal.Signals) -> None:
    with Ferry(server.url) as ferry:
        open_session(ferry)
        ferry.write(call(2, "slow", seconds=FOREVER), call(3, "echo", text="on"))
        ferry.reply(3)
        ferry.signal(number)
        assert ferry.wait() == 0
        assert "error" in ferry.reply(2)
        assert ferry.stderr == ""
    assert server.seen()[-1]["method"] == "DELETE"


def test_a_closed_stdout_ends_it_quietly(server: Watched) -> None:
    with Ferry(server.url, reading=False) as ferry:
        ferry.close_stdout()
        ferry.write(INITIALIZE)
        assert ferry.wait() == 0
        assert ferry.stderr == ""


def test_a_client_that_vanishes_while_a_call_runs(server: Watched) -> None:
    with Ferry(server.url, reading=False) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, call(2, "slow", seconds=FOREVER))
        ferry.close_stdout()
        assert ferry.wait() == 0
        assert ferry.stderr == ""


def test_every_request_is_answered_exactly_once(server: Watched) -> None:
    with Ferry(server.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED)
        for number in range(100, 150):
            ferry.write(call(number, ("echo", "add", "nonsense")[number % 3], text="t", a=1, b=2))
        assert ferry.end() == 0
        messages = ferry.messages
    for number in (1, *range(100, 150)):
        assert sum(is_response_to(message, number) for message in messages) == 1
