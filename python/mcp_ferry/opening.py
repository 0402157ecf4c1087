"""The first words with a server: what era it is of, and the handshake if it wants one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mcp_ferry.exceptions import ServerError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mcp_ferry.session import Session

Era = Literal["legacy", "modern"]

LEGACY_VERSION = "2025-11-25"
MODERN_VERSION = "2026-07-28"

ASKED = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a server may ask of a client, and the capability that says so."""

META = "io.modelcontextprotocol/"
"""The prefix of the members of `_meta` that the specification keeps for itself (2026-07-28, basic/index)."""

UNSUPPORTED_VERSION = -32022
MODERN_ERRORS = range(-32022, -32019)
"""`HeaderMismatch`, `MissingRequiredClientCapability` and `UnsupportedProtocolVersion`: only a modern server
has these (2026-07-28, streamable-http, "Backward Compatibility")."""

NO_WORD_OF_ERA = {"http-status", "no-reply", "wrong-reply", "session", "redirect"}
"""Kinds of failure that a legacy server may well give to a modern request; all others say nothing of the
server."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of the server."""

    era: Era
    version: str
    capabilities: dict[str, Any] = field(default_factory=dict)
    server_info: dict[str, Any] = field(default_factory=dict)
    instructions: str | None = None
    meta: dict[str, Any] | None = None
    """What every request to a modern server has in its `_meta`."""

    @classmethod
    def unknown(cls) -> Opened:
        """Before the first word."""
        return cls("legacy", "")

    def with_meta(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters as this server wants them."""
        if self.meta is None:
            return params
        return {**params, "_meta": {**params.get("_meta", {}), **self.meta}}


def declared(handlers: Iterable[str]) -> dict[str, Any]:
    """The client's capabilities, from the methods that it has handlers for."""
    return {ASKED[method]: {} for method in handlers}


async def opened(
    session: Session, era: Era | None, client_info: Mapping[str, Any], capabilities: dict[str, Any]
) -> Opened:
    """Open a session with a server of this era, or of the one that it turns out to be of.

    Raises what the server, or the transport, answers to the last thing tried.
    """
    if era != "legacy":
        try:
            return await _discover(session, client_info, capabilities)
        except (ServerError, TransportError) as error:
            if era == "modern" or not _may_be_legacy(error):
                raise
    return await _initialize(session, client_info, capabilities)


async def _discover(session: Session, client_info: Mapping[str, Any], capabilities: dict[str, Any]) -> Opened:
    meta = {
        f"{META}protocolVersion": MODERN_VERSION,
        f"{META}clientInfo": dict(client_info),
        f"{META}clientCapabilities": capabilities,
    }
    result = await session.request("server/discover", {"_meta": meta})
    if not isinstance(result, dict) or MODERN_VERSION not in result.get("supportedVersions", ()):
        raise ServerError(UNSUPPORTED_VERSION, "the server does not speak 2026-07-28", {"supported": []})
    return Opened(
        era="modern",
        version=MODERN_VERSION,
        capabilities=result.get("capabilities") or {},
        server_info=(result.get("_meta") or {}).get(f"{META}serverInfo") or result.get("serverInfo") or {},
        instructions=result.get("instructions"),
        meta=meta,
    )


def _may_be_legacy(error: ServerError | TransportError) -> bool:
    """Whether a server that answers a modern request like this may be one that wants `initialize`."""
    if isinstance(error, TransportError):
        return error.kind in NO_WORD_OF_ERA
    # A modern server that speaks older revisions too says so, and is then taken at its word.
    return error.code not in MODERN_ERRORS or error.code == UNSUPPORTED_VERSION


async def _initialize(
    session: Session, client_info: Mapping[str, Any], capabilities: dict[str, Any]
) -> Opened:
    result = await session.request(
        "initialize",
        {"protocolVersion": LEGACY_VERSION, "capabilities": capabilities, "clientInfo": dict(client_info)},
    )
    session.notify("notifications/initialized")
    return Opened(
        era="legacy",
        version=result.get("protocolVersion", ""),
        capabilities=result.get("capabilities") or {},
        server_info=result.get("serverInfo") or {},
        instructions=result.get("instructions"),
    )
