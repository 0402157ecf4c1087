"""What carries calls to the server, as the runner sees it, and how an answer is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mcp_ferry._ferry import __version__
from mcp_ferry.exceptions import FerryError, RequestError, TransportError, request_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_ferry.bench.plan import Call

REVISION = "2025-11-25"
"""What sessions are opened with; the server may choose an older one."""
MODERN_REVISION = "2026-07-28"
"""What servers are spoken to that know no sessions."""

FERRY, SERVER, TOOL, LOST = "ferry", "server", "tool", "lost"
"""Whose error it is: the ferry's own, the server's, a tool's that says so, or nobody's, for nothing came."""

CLIENT = {"name": "mcp-ferry-bench", "version": __version__}

TRIES, SPARE = 3, 10.0
"""A harmless call may be tried three times by the ferry, each for as long as the timeout, with pauses between
them. Whoever has no answer by then gets none."""


class Failure(NamedTuple):
    """How a call failed."""

    source: str
    """One of the four above."""
    kind: str
    """The ferry's name for it, the code of JSON-RPC, or what else tells failures of a source apart."""
    message: str
    """What was said of it. The server's words are in it, so it is not to be trusted by a terminal."""


@dataclass
class Strays:
    """Replies that nobody waits for."""

    doubled: int = 0
    """To a call that had its reply."""
    unknown: int = 0
    """To no call that was ever made, or no message at all."""


class CarrierEndedError(FerryError):
    """The carrier has ended and takes no more calls."""


class Carrier(Protocol):
    """One session. A cancelled `request` leaves the carrier usable."""

    modern: bool
    """Whether the server was found to be of the era without sessions; known once it is open."""
    strays: Strays

    @property
    def complaints(self) -> Sequence[str]:
        """The last lines of its log, if it keeps one of its own."""

    async def open(self) -> None:
        """Open the session, or raise `FerryError` saying why it cannot be had."""

    async def request(self, call: Call) -> Failure | None:
        """Send a call and judge its answer; raises `CarrierEndedError`."""

    async def close(self, *, at_once: bool) -> None:
        """Close the session, whatever state it is in; at once means without waiting for what is owed."""


def patience(timeout: float) -> float:
    """Seconds after which a call has no reply, if the server may be silent for so many."""
    return TRIES * timeout + SPARE


def judge_result(method: str, result: object) -> Failure | None:
    """What a result says: a tool's own failure is a result too."""
    if method == "tools/call" and isinstance(result, dict) and result.get("isError") is True:
        return Failure(TOOL, "isError", first_text(result.get("content")))
    return None


def judge_error(error: Any) -> Failure:
    """Whose error this is, and of which kind."""
    if not isinstance(error, dict):
        return Failure(SERVER, "no error object", str(error))
    return judge_failure(request_error({"code": None} | error))


def judge_failure(failure: RequestError) -> Failure:
    """The same of an error that was raised."""
    if isinstance(failure, TransportError):
        return Failure(FERRY, failure.kind, failure.message)
    return Failure(SERVER, str(failure.code), failure.message)


def first_text(content: object) -> str:
    """The first text of a tool's content, if it has one."""
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and isinstance(block.get("text"), str):
            return str(block["text"])
    return ""
