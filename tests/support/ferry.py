"""A real `mcp-ferry` process, held by its pipes.

    with Ferry(server.url) as ferry:
        ferry.write(INITIALIZE, request(2, "tools/list"))
        assert ferry.reply(2)["result"]["tools"]
        assert ferry.end() == 0

Every wait is for an event (a line, the end of the process) and has a deadline that only a hang meets.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

DEADLINE = 60.0
"""Seconds until a wait gives up. Not a measurement: a loaded machine may be slow, a hang is for ever."""

MODULE = (sys.executable, "-m", "mcp_ferry")

Id = int | float | str | None

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-03-26",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1.0.0"},
    },
}
"""The first line of the conversation that the project began with."""

TOOLS_LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
"""Its second line."""

INITIALIZED: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def request(identifier: Id, method: str, **params: object) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}


def call(identifier: Id, tool: str, **arguments: object) -> dict[str, Any]:
    """A `tools/call` request."""
    return request(identifier, "tools/call", name=tool, arguments=arguments)


def command(*words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """What a run of the command line did: its status, stdout and stderr."""
    return subprocess.run(
        [*MODULE, *words],
        input=stdin,
        capture_output=True,
        text=True,
        env=clean_environment(environ),
        timeout=DEADLINE,
        check=False,
    )


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything that would configure a ferry, plus `extra`."""
    foreign = ("MCP_", "CONCURRENCY", "SSL_CERT")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(foreign) and not name.upper().endswith("_PROXY")
    } | dict(extra or {})


@dataclass(frozen=True)
class Line:
    """One line that the ferry wrote to stdout."""

    raw: bytes
    value: Any
    """The parsed message, or None where Python's parser cannot follow (deep nesting)."""


class Ferry:
    """A running bridge.

    `arguments` follow `python -m mcp_ferry`; `command` replaces those first words; `env` is added to a
    clean environment. With `reading=False` nobody reads stdout until `start_reading` is called.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "mcp_ferry"),
        reading: bool = True,
    ) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(env),
            bufsize=0,
        )
        self._news = threading.Condition()
        self._lines: list[Line] = []
        self._stderr: list[bytes] = []
        self._stdout_ended = False
        self._readers = [threading.Thread(target=self._read_stderr, daemon=True)]
        if reading:
            self._readers.append(threading.Thread(target=self._read_stdout, daemon=True))
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        """Hold the process for the length of a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind, whatever the test came to."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(DEADLINE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            close_quietly(pipe)

    # stdin

    def write(self, *messages: object) -> None:
        """Write messages, one a line, in a single write: objects as JSON, `str` and `bytes` as they are."""
        self.write_bytes(b"".join(encode(message) + b"\n" for message in messages))

    def write_bytes(self, data: bytes) -> None:
        """Write exactly these bytes."""
        assert self.process.stdin is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self.process.stdin.write(rest) :]

    def close_stdin(self) -> None:
        """End the ferry's input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    # stdout

    def start_reading(self) -> None:
        """Begin to read stdout, for a ferry started with `reading=False`."""
        reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._readers.append(reader)
        reader.start()

    def close_stdout(self) -> None:
        """Stop reading for good, as a client that went away. Only for `reading=False`."""
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def lines(self) -> list[Line]:
        """What came out so far, in order."""
        with self._news:
            return list(self._lines)

    @property
    def messages(self) -> list[Any]:
        """The parsed messages that came out so far, in order."""
        return [line.value for line in self.lines]

    def reply(self, identifier: Id, deadline: float = DEADLINE) -> Any:
        """The first response under this id; `1`, `1.0` and `"1"` are three ids."""
        return self.line_of(identifier, deadline).value

    def line_of(self, identifier: Id, deadline: float = DEADLINE) -> Line:
        """As `reply`, with the bytes of the line."""
        return self.wait_for(
            lambda value: is_response_to(value, identifier), f"a reply to {identifier!r}", deadline
        )

    def wait_for(
        self, wanted: Callable[[Any], bool], what: str = "a message", deadline: float = DEADLINE
    ) -> Line:
        """The first line whose message is wanted, from the start of the process on."""
        return self.wait_for_many(1, wanted, what, deadline)[0]

    def wait_for_many(
        self,
        count: int,
        wanted: Callable[[Any], bool] = lambda _: True,
        what: str = "messages",
        deadline: float = DEADLINE,
    ) -> list[Line]:
        """The first `count` wanted lines, as soon as they are there."""
        seen = 0
        found: list[Line] = []

        def enough() -> bool:
            nonlocal seen
            found.extend(line for line in self._lines[seen:] if wanted(line.value))
            seen = len(self._lines)
            return len(found) >= count or self._stdout_ended

        with self._news:
            self._news.wait_for(enough, deadline)
        if len(found) < count:
            raise AssertionError(self._explain(f"waited for {what}, {len(found)} of {count} came"))
        return found[:count]

    # the end

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self, deadline: float = DEADLINE) -> int:
        """The exit status, once the process has ended and all its output has been read."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._explain("the process did not end")) from None
        for reader in self._readers:
            reader.join(deadline)
        return status

    def end(self, deadline: float = DEADLINE) -> int:
        """Close stdin and wait for the end."""
        self.close_stdin()
        return self.wait(deadline)

    @property
    def stderr(self) -> str:
        """What the process wrote to stderr so far."""
        with self._news:
            return b"".join(self._stderr).decode(errors="replace")

    def wait_for_stderr(self, text: str, deadline: float = DEADLINE) -> str:
        """The whole of stderr, as soon as `text` stands in it."""

        def there() -> bool:
            return text.encode() in b"".join(self._stderr)

        with self._news:
            came = self._news.wait_for(there, deadline)
        assert came, self._explain(f"waited for {text!r} on stderr")
        return self.stderr

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        with open(self.process.stdout.fileno(), "rb", closefd=False) as stdout:
            for raw in stdout:
                self._note(Line(raw, decode(raw)))
        with self._news:
            self._stdout_ended = True
            self._news.notify_all()

    def _note(self, line: Line) -> None:
        with self._news:
            self._lines.append(line)
            self._news.notify_all()

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        while chunk := self.process.stderr.read(65536):
            with self._news:
                self._stderr.append(chunk)
                self._news.notify_all()

    def _explain(self, trouble: str) -> str:
        tail = b"".join(line.raw[:400] + b"\n" for line in self._lines[-10:])
        return (
            f"{trouble}\nexit status: {self.process.poll()}\n"
            f"stdout ({len(self._lines)} lines), its end:\n{tail.decode(errors='replace')}\n"
            f"stderr:\n{b''.join(self._stderr).decode(errors='replace')[-4000:]}"
        )


def encode(message: object) -> bytes:
    """A message as the bytes of one line, without its line end."""
    if isinstance(message, bytes):
        return message
    if isinstance(message, str):
        return message.encode()
    return json.dumps(message).encode()


def decode(raw: bytes) -> Any:
    """The message on a line. What is not JSON becomes a value that no test waits for and none overlooks."""
    try:
        value = json.loads(raw)
    except RecursionError:
        return None
    except ValueError:
        return {"not JSON on stdout": raw[:400].decode(errors="replace")}
    return value


def is_response_to(value: Any, identifier: Id) -> bool:
    """Whether a message is the response with exactly this id, type included."""
    return (
        isinstance(value, dict)
        and "method" not in value
        and "id" in value
        and type(value["id"]) is type(identifier)
        and bool(value["id"] == identifier)
    )


def close_quietly(pipe: IO[bytes] | None) -> None:
    """Close a pipe that may be broken or closed already."""
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
