"""The real servers that the bridge is put in front of, and what each of them offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.world.environments import NPM, SDK1, SDK2, Environment
from tests.world.processes import Server, free_port

SCRIPTS = Path(__file__).parent / "servers"


@dataclass(frozen=True)
class Wares:
    """What a server calls its tools and texts. A call is a tool's name, its arguments, the text it gives."""

    echo: tuple[str, Mapping[str, Any], str]
    add: tuple[str, Mapping[str, Any], str]
    slow: tuple[str, Mapping[str, Any], str]
    """Reports progress three times."""

    ask: tuple[str, Mapping[str, Any], str]
    """Asks the client, who says `answer`."""

    answer: Mapping[str, Any]
    resource: tuple[str, str]
    """A URI and the beginning of the text behind it."""


OURS = Wares(
    echo=("echo", {"text": "Grüße, 船"}, "Grüße, 船"),
    add=("add", {"a": 2, "b": 3}, "5"),
    slow=("slow", {"steps": 3, "ms": 150}, "3 steps"),
    ask=("ask", {"question": "Which colour?"}, "blue"),
    answer={"action": "accept", "content": {"answer": "blue"}},
    resource=("ferry://tide-table", "High water 05:12 and 17:38"),
)

EVERYTHING = Wares(
    echo=("echo", {"message": "Grüße, 船"}, "Echo: Grüße, 船"),
    add=("get-sum", {"a": 2, "b": 3}, "The sum of 2 and 3 is 5."),
    slow=(
        "trigger-long-running-operation",
        {"duration": 0.15, "steps": 3},
        "Long running operation completed",
    ),
    ask=("trigger-elicitation-request", {}, "User declined"),
    answer={"action": "decline"},
    resource=("demo://resource/static/document/architecture.md", "# Everything Server"),
)


@dataclass(frozen=True)
class Peer:
    """A kind of server, not yet running."""

    name: str
    environment: Environment
    wares: Wares = OURS
    flags: tuple[str, ...] = ()
    tells_progress: bool = True
    """Whether progress reaches a client at all; answers as plain JSON leave it out."""

    asks: bool = True
    """Whether the server can ask its client; without a session, or in plain JSON, it cannot."""

    @contextmanager
    def running(self, log: Path) -> Iterator[RunningPeer]:
        """The server, on a port of its own, for the length of a `with` block."""
        if self.environment is NPM:
            port = free_port()
            script = NPM.modules / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
            command: list[str | Path] = ["node", script, "streamableHttp"]
            with Server(command, ready=r"listening on port", log=log, env={"PORT": str(port)}):
                yield RunningPeer(self, f"http://127.0.0.1:{port}/mcp")
        else:
            script = SCRIPTS / f"{self.environment.name}_server.py"
            command = [self.environment.python, script, *self.flags]
            with Server(command, ready=r"listening on (\S+)", log=log) as server:
                yield RunningPeer(self, server.announcement[1])


@dataclass(frozen=True)
class RunningPeer:
    """A server that is up."""

    kind: Peer
    url: str

    @property
    def wares(self) -> Wares:
        """What it offers."""
        return self.kind.wares


def python_peers(environment: Environment) -> list[Peer]:
    """The four ways in which a server of the Python SDK can be set up."""
    line = environment.name
    return [
        Peer(f"{line}-stateful-events", environment),
        Peer(f"{line}-stateful-json", environment, flags=("--json",), tells_progress=False, asks=False),
        Peer(f"{line}-stateless-events", environment, flags=("--stateless",), asks=False),
        Peer(
            f"{line}-stateless-json",
            environment,
            flags=("--stateless", "--json"),
            tells_progress=False,
            asks=False,
        ),
    ]


HTTP_SSE = Peer("sdk1-http-sse", SDK1, flags=("--sse",))
"""A server of 2024-11-05; FastMCP's `transport="sse"` serves the same."""

PEERS = [*python_peers(SDK1), *python_peers(SDK2), HTTP_SSE, Peer("everything", NPM, EVERYTHING)]


class Named(Protocol):
    """A server, a client or an environment."""

    @property
    def name(self) -> str:
        """What it is called."""


def name_of(kind: Named) -> str:
    """What a test that runs with it is called."""
    return kind.name
