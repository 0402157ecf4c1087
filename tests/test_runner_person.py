"""`mcp-ferry call` with a person at it, who answers questions or loses patience."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mcp_ferry.runner import person
from tests.support.ferry import DEADLINE, MODULE, clean_environment, command
from tests.support.peer import Exchange, Peer
from tests.support.runner import answering


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_call_at_the_server(number: signal.Signals, status: int) -> None:
    called, cancelled, closed = threading.Event(), threading.Event(), threading.Event()
    inner = answering({})

    def answer(exchange: Exchange) -> None:
        method = exchange.message.get("method") if exchange.message else exchange.command
        if method == "tools/call":
            called.set()
            cancelled.wait(DEADLINE)
        elif method == "notifications/cancelled":
            exchange.send(202)
            cancelled.set()
        else:
            inner(exchange)
            if method == "DELETE":
                closed.set()

    with (
        Peer(answer) as peer,
        subprocess.Popen(
            [*MODULE, "call", peer.url, "t"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        ) as process,
    ):
        assert called.wait(DEADLINE)
        process.send_signal(number)
        assert process.communicate(timeout=DEADLINE) == (b"", b"")
        assert process.returncode == status
        assert cancelled.is_set()
        assert closed.wait(DEADLINE), "and the session is closed"


FORM = {
    "properties": {
        "name": {"type": "string", "title": "Your name", "description": "as on the ticket"},
        "count": {"type": "integer", "default": 2},
        "price": {"type": "number"},
        "sure": {"type": "boolean"},
        "size": {"type": "string", "enum": ["s", "m"]},
        "extras": {"type": "array", "items": {"anyOf": [{"const": "x", "title": "X"}, {"const": "y"}]}},
    },
    "required": ["name", "price", "sure"],
}


def asking(form: Any, answers: list[Any]) -> Callable[[Exchange], None]:
    """A modern server whose tool asks for a form once, and notes what comes back."""

    def answer(exchange: Exchange) -> None:
        message = exchange.message
        result: dict[str, Any] = {"resultType": "complete"}
        if message["method"] == "server/discover":
            result |= {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif "inputResponses" not in message["params"]:
            asked = {
                "method": "elicitation/create",
                "params": {"message": "Who?\x1b[2J", "requestedSchema": form},
            }
            result = {"resultType": "input_required", "inputRequests": {"form": asked}}
        else:
            answers.append(message["params"]["inputResponses"]["form"])
            result["content"] = [{"type": "text", "text": "thanks"}]
        exchange.send_json({"jsonrpc": "2.0", "id": message["id"], "result": result})

    return answer


class Terminal:
    """A call with a terminal for stdin and stderr, and somebody at it."""

    def __init__(self, url: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*MODULE, "call", url, "t"],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            env=clean_environment(),
        )
        os.close(slave)
        self.shown = ""

    def see(self, text: str) -> None:
        """Wait until this is shown; what came before has been seen then."""
        while text not in self.shown:
            came = os.read(self._master, 4096)
            assert came, self.shown
            self.shown += came.decode()
        self.shown = self.shown.partition(text)[2]

    def write(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> tuple[int, str]:
        """The exit status, and what was on stdout."""
        out, _ = self.process.communicate(timeout=DEADLINE)
        os.close(self._master)
        return self.process.returncode, out.decode()


def test_a_person_at_a_terminal_is_asked() -> None:
    answers: list[Any] = []
    with Peer(asking(FORM, answers)) as peer:
        terminal = Terminal(peer.url)
        terminal.see("The server asks: Who?\\x1b[2J")
        for question, line in (
            ("Your name, as on the ticket (string): ", "\n"),
            ("it has to be given", ""),
            ("(string): ", "Ada\n"),
            ("count (integer, default 2): ", "\n"),
            ("price (number): ", "dear\n"),
            ("'dear' is not a number", ""),
            ("price (number): ", "2.5\n"),
            ("sure (boolean): ", "yes\n"),
            ("size (s | m, may be empty): ", "l\n"),
            ("write one of s, m", ""),
            ("size (s | m, may be empty): ", "\n"),
            ("extras (x | y, with commas between, may be empty): ", "x, y\n"),
        ):
            terminal.see(question)
            terminal.write(line)
        assert terminal.end() == (0, "thanks\n")
    content = {"name": "Ada", "count": 2, "price": 2.5, "sure": True, "extras": ["x", "y"]}
    assert answers == [{"action": "accept", "content": content}]


@pytest.mark.parametrize(
    ("form", "keys", "answer"),
    [
        (FORM, "\x04", {"action": "decline"}),
        ({"properties": {}}, "y\n", {"action": "accept", "content": {}}),
        (None, "no\n", {"action": "decline"}),
    ],
)
def test_a_person_may_decline_and_may_be_asked_for_consent(form: Any, keys: str, answer: Any) -> None:
    answers: list[Any] = []
    with Peer(asking(form, answers)) as peer:
        terminal = Terminal(peer.url)
        terminal.see("): ")
        terminal.write(keys)
        assert terminal.end() == (0, "thanks\n")
    assert answers == [answer]


def test_ctrl_c_ends_a_question() -> None:
    with Peer(asking(FORM, [])) as peer:
        terminal = Terminal(peer.url)
        terminal.see("(string): ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == (130, "")


def test_nobody_is_asked_where_nobody_is() -> None:
    answers: list[Any] = []
    with Peer(asking(FORM, answers)) as peer:
        ended = command("call", peer.url, "t")
    assert (ended.returncode, ended.stdout) == (0, "thanks\n")
    assert "declined what the server asks (Who?" in ended.stderr
    assert answers == [{"action": "decline"}]


@pytest.mark.parametrize(
    "field", [{"enum": 7}, {"type": "array", "items": 3}, {"oneOf": [{"title": "no const"}, 4]}, {"anyOf": 1}]
)
def test_a_field_without_sense_is_an_open_question(field: dict[str, Any]) -> None:
    assert person.choices_of(field) == []
