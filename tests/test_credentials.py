"""Tokens that expire: from a file or a command, through a real process, before a server that checks them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, call, request
from tests.support.peer import Exchange, Peer

OLD, NEW = "old-s3cret-0123456789", "new-s3cret-9876543210"
CHALLENGE = 'Bearer realm="harbour", error="invalid_token"'


class Guard:
    """The answers of a server that wants a token, and who came with which."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = {f"Bearer {token}" for token in accepted}
        self.seen: list[tuple[object, str | None]] = []
        """Each request's id, or its HTTP method, and its Authorization, in order."""

        self.before: Callable[[Exchange], object] = lambda _: None
        """Called before a request is judged."""

    def __call__(self, exchange: Exchange) -> None:
        shown = exchange.headers.get("authorization")
        number = exchange.message.get("id") if exchange.message else exchange.command
        self.seen.append((number, shown))
        self.before(exchange)
        if shown not in self.accepted:
            exchange.send(401, WWW_Authenticate=CHALLENGE)
        elif not exchange.greet():
            exchange.send_json({"jsonrpc": "2.0", "id": number, "result": {}})

    def tokens_of(self, number: object) -> list[str | None]:
        """What this request came with, each time."""
        return [shown for seen, shown in self.seen if seen == number]


class Source:
    """A token that a ferry can be pointed at, by a file or by a command that counts its runs."""

    def __init__(self, home: Path, kind: str) -> None:
        self.file = home / "token"
        self.runs = home / "runs"
        if kind == "file":
            self.flags = ("--token-file", str(self.file))
        else:
            self.flags = ("--token-command", f"sh -c 'echo run >> {self.runs}; cat {self.file}'")

    def hold(self, token: str) -> None:
        """Have this token from now on."""
        self.file.write_text(f"{token}\n")


@pytest.fixture(params=["file", "command"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    source = Source(tmp_path, request.param)
    source.hold(OLD)
    return source


def open_session(ferry: Ferry) -> None:
    ferry.write(INITIALIZE, INITIALIZED)
    assert "result" in ferry.reply(1)


def test_every_request_bears_the_token(source: Source) -> None:
    guard = Guard(OLD)
    with Peer(guard) as peer, Ferry(peer.url, *source.flags) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, TOOLS_LIST)
        assert "result" in ferry.reply(2)
        assert ferry.end() == 0
        assert ferry.stderr == ""
    assert {shown for _, shown in guard.seen} == {f"Bearer {OLD}"}
    assert {number for number, _ in guard.seen} == {1, None, 2, "GET", "DELETE"}


def test_one_renewal_serves_all_that_were_refused(source: Source) -> None:
    guard = Guard(OLD)
    numbers = range(100, 116)

    def rotate() -> None:
        source.hold(NEW)
        guard.accepted = {f"Bearer {NEW}"}

    together = threading.Barrier(len(numbers), action=rotate)

    def before(exchange: Exchange) -> None:
        if exchange.headers.get("authorization") == f"Bearer {OLD}" and exchange.message["id"] in numbers:
            together.wait()

    with Peer(guard) as peer, Ferry(peer.url, *source.flags, "--log-level", "debug") as ferry:
        open_session(ferry)
        guard.before = before
        ferry.write(*(call(number, "echo", text="x") for number in numbers))
        for number in numbers:
            assert "result" in ferry.reply(number)
            assert guard.tokens_of(number) == [f"Bearer {OLD}", f"Bearer {NEW}"]
        cmdline = Path(f"/proc/{ferry.process.pid}/cmdline")
        shown = cmdline.read_text() if cmdline.exists() else ""
        assert ferry.end() == 0
        shown += ferry.stderr + b"".join(line.raw for line in ferry.lines).decode()
    assert OLD not in shown
    assert NEW not in shown
    if source.runs.exists():
        assert source.runs.read_text() == "run\n" * 2


def test_a_second_refusal_is_an_error_that_names_what_is_wanted(source: Source) -> None:
    guard = Guard(OLD)
    with Peer(guard) as peer, Ferry(peer.url, *source.flags) as ferry:
        open_session(ferry)
        guard.accepted.clear()
        ferry.write(call(2, "echo", text="x"))
        error = ferry.reply(2)["error"]
        assert (error["data"]["kind"], error["data"]["httpStatus"]) == ("unauthorized", 401)
        assert "Bearer" in error["message"]
        assert "harbour" in error["message"]
        assert OLD not in str(error)
        assert len(guard.tokens_of(2)) == 2
        # The next request is a new chance.
        source.hold(NEW)
        guard.accepted.add(f"Bearer {NEW}")
        ferry.write(call(3, "echo", text="x"))
        assert "result" in ferry.reply(3)
        assert ferry.end() == 0


def test_a_fixed_credential_is_not_tried_again() -> None:
    guard = Guard(NEW)
    with Peer(guard) as peer, Ferry(peer.url, env={"MCP_AUTH": f"Bearer {OLD}"}) as ferry:
        ferry.write(INITIALIZE)
        error = ferry.reply(1)["error"]
        assert "harbour" in error["message"]
        assert "MCP_FERRY_AUTH" in error["message"]
        assert ferry.end() == 0
    assert guard.tokens_of(1) == [f"Bearer {OLD}"]


def test_a_changed_file_is_used_before_the_old_token_fails(tmp_path: Path) -> None:
    source = Source(tmp_path, "file")
    source.hold(OLD)
    guard = Guard(OLD, NEW)
    with Peer(guard) as peer, Ferry(peer.url, *source.flags) as ferry:
        open_session(ferry)
        source.hold(NEW)
        for number in count(10):
            ferry.write(request(number, "ping"))
            assert "result" in ferry.reply(number)
            if guard.tokens_of(number) == [f"Bearer {NEW}"]:
                break
        assert ferry.end() == 0


def test_a_file_that_is_not_there_yet_is_an_error_until_it_is(tmp_path: Path) -> None:
    source = Source(tmp_path, "file")
    with Peer(Guard(OLD)) as peer, Ferry(peer.url, *source.flags) as ferry:
        ferry.write(INITIALIZE)
        error = ferry.reply(1)["error"]
        assert error["data"]["kind"] == "unauthorized"
        assert str(source.file) in error["message"]
        assert "--token-file" in error["message"]
        source.hold(OLD)
        ferry.write({**INITIALIZE, "id": 2})
        assert "result" in ferry.reply(2)
        assert ferry.end() == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"sh -c 'echo {OLD}; echo {OLD} >&2; exit 7'", "exit status 7"),
        (f"/no/such/program {OLD}", "cannot be started"),
        ("true", "gives nothing"),
    ],
)
def test_a_command_that_gives_no_token_is_an_error_with_a_remedy(command: str, said: str) -> None:
    env = {"MCP_FERRY_TOKEN_COMMAND": command}
    guard = Guard(OLD)
    with Peer(guard) as peer, Ferry(peer.url, "--log-level", "debug", env=env) as ferry:
        ferry.write(INITIALIZE)
        error = ferry.reply(1)["error"]
        assert said in error["message"]
        assert ferry.end() == 0
        assert OLD not in str(error) + ferry.stderr
    assert guard.seen == []


def test_a_signal_does_not_wait_for_a_command_and_leaves_none_behind(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    env = {"MCP_FERRY_TOKEN_COMMAND": f"sh -c 'exec sleep 3600 > {alive}'"}
    with Peer(Guard(OLD)) as peer, Ferry(peer.url, env=env) as ferry:
        ferry.write(INITIALIZE)
        with alive.open("rb") as pipe:  # waits until the command has its end
            ferry.signal(signal.SIGTERM)
            assert ferry.wait() == 0
            assert pipe.read() == b""
        assert "error" in ferry.reply(1)
