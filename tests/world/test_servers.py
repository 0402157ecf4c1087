"""The bridge in front of real servers: the Python SDK's two lines, and npm's reference server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, call, request
from tests.world.peers import PEERS, RunningPeer, name_of

pytestmark = pytest.mark.timeout(300)

INITIALIZE_WITH_ELICITATION = {
    **INITIALIZE,
    "params": {**INITIALIZE["params"], "capabilities": {"elicitation": {}}, "protocolVersion": "2025-06-18"},
}


def text_of(reply: Any) -> str:
    """The text that a tool returned."""
    text: str = reply["result"]["content"][0]["text"]
    return text


def responses(ferry: Ferry) -> list[Any]:
    """The ids of all responses so far, in order."""
    return [message["id"] for message in ferry.messages if "method" not in message]


def with_progress(identifier: int, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A call that wants to hear how it goes, under the token "tide"."""
    frame = call(identifier, tool, **arguments)
    frame["params"]["_meta"] = {"progressToken": "tide"}
    return frame


def is_progress(message: Any) -> bool:
    """Whether a message is news of the call that `with_progress` made."""
    token = message.get("params", {}).get("progressToken")
    return (message.get("method"), token) == ("notifications/progress", "tide")


def assert_conversation(ferry: Ferry, *tools: str) -> None:
    """Both lines of the issue's conversation got their own answers."""
    opened = ferry.reply(1)
    assert opened["result"]["serverInfo"]["name"], opened
    listed = ferry.reply(2)
    assert {*tools} <= {tool["name"] for tool in listed["result"]["tools"]}, listed


def test_two_lines_written_at_once_are_both_answered(peer: RunningPeer) -> None:
    with Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert_conversation(ferry, peer.wares.echo[0])
        assert ferry.end() == 0
        assert responses(ferry) == [1, 2]


def test_two_lines_before_the_end_of_stdin_are_both_answered(peer: RunningPeer) -> None:
    with Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert ferry.end() == 0
        assert_conversation(ferry, peer.wares.echo[0])
        assert responses(ferry) == [1, 2]


def test_a_whole_session_written_at_once(peer: RunningPeer) -> None:
    wares = peer.wares
    (echo, echo_arguments, echoed), (add, add_arguments, added) = wares.echo, wares.add
    with Ferry(peer.url) as ferry:
        ferry.write(
            INITIALIZE,
            INITIALIZED,
            TOOLS_LIST,
            call("three", echo, **echo_arguments),
            call(4, add, **add_arguments),
            request(5, "resources/read", uri=wares.resource[0]),
        )
        assert_conversation(ferry, echo, add)
        assert text_of(ferry.reply("three")) == echoed
        assert text_of(ferry.reply(4)) == added
        assert ferry.reply(5)["result"]["contents"][0]["text"].startswith(wares.resource[1])
        assert ferry.end() == 0


def test_progress_arrives_before_its_answer(peer: RunningPeer) -> None:
    tool, arguments, done = peer.wares.slow
    with Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, with_progress(3, tool, arguments))
        assert text_of(ferry.reply(3)).startswith(done)
        before = ferry.messages[: [message.get("id") for message in ferry.messages].index(3)]
        news = [message["params"]["progress"] for message in before if is_progress(message)]
        assert news == ([1, 2, 3] if peer.kind.tells_progress else [])
        assert ferry.end() == 0


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.asks], ids=name_of, indirect=True)
def test_a_question_of_the_server_is_answered(peer: RunningPeer) -> None:
    tool, arguments, outcome = peer.wares.ask
    with Ferry(peer.url) as ferry:
        ferry.write(INITIALIZE_WITH_ELICITATION, INITIALIZED, call(3, tool, **arguments))
        question = ferry.wait_for(
            lambda message: message.get("method") == "elicitation/create", "the question"
        ).value
        ferry.write({"jsonrpc": "2.0", "id": question["id"], "result": peer.wares.answer})
        assert outcome in text_of(ferry.reply(3))
        assert ferry.end() == 0
