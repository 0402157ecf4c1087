"""Streams for the official Python SDK: its `ClientSession`, over a ferry in this process.

    from mcp_ferry.sdk import streamable_http_client

    async with streamable_http_client(url) as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()

It stands for the function of the same name in `mcp.client.streamable_http`, of the SDK's 1.x or of its 2.x,
whichever is installed. The SDK opens its session itself, numbers its requests and cancels them; what lies
below, from shared connections to a server that restarts, is the ferry's.
"""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.lowlevel import checkpoint
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from pydantic import ValidationError

from mcp_ferry.client import configured, pairs
from mcp_ferry.crossing import Crossing
from mcp_ferry.exceptions import ConfigError, FerryError, SessionClosed

try:
    from mcp_types import jsonrpc_message_adapter
except ImportError:
    from mcp.types import JSONRPCMessage

    IS_FIRST_LINE = True
else:
    IS_FIRST_LINE = False

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Unpack

    from anyio.streams.memory import MemoryObjectSendStream

    from mcp_ferry._ferry import Config
    from mcp_ferry.client import Headers, Settings

PARSE_ERROR = -32700
INVALID_REQUEST = -32600


@asynccontextmanager
async def streamable_http_client(
    url: str,
    headers: Headers | None = None,
    *,
    auth: str | None = None,
    http_client: object = None,
    **settings: Unpack[Settings],
) -> AsyncIterator[tuple[Any, ...]]:
    """The streams of a session with the MCP server at `url`, as the SDK that is installed wants them.

    Yields `(read, write)` for the SDK's 2.x, and for 1.x also the function that it calls for the id of the
    session, which gives None: the ferry may open more than one, and keeps their ids to itself. `headers`,
    `auth` and `settings` are those of `mcp_ferry.connect`. Needs asyncio; the end may come in another task
    than the beginning.

    Raises `ConfigError` for a setting that cannot be used, and for the `http_client` that the SDK's function
    takes. All else that goes wrong is the answer to the request that it hit, so that the SDK raises its own
    error with the ferry's words.
    """
    if http_client is not None:
        raise ConfigError("http_client", "not used here; give its headers, auth, proxy or ca_cert themselves")
    config = configured(url, settings).with_headers(pairs(headers), auth, listens=True)
    inbound, read = anyio.create_memory_object_stream[Any](math.inf)
    strait = Strait(config, inbound)
    write = WriteStream(strait)
    try:
        yield (read, write, _no_session_id) if IS_FIRST_LINE else (read, write)
    finally:
        inbound.close()
        read.close()
        strait.end(at_once=True)
        await strait.wait_ended()


class Strait(Crossing):
    """A crossing whose messages go where the SDK reads."""

    __slots__ = ("_inbound",)

    def __init__(self, config: Config, inbound: MemoryObjectSendStream[Any]) -> None:
        """Begin a session on the running event loop; `inbound` takes all that comes, at once."""
        self._inbound = inbound
        super().__init__(config)

    def answer(self, number: Any, code: int, message: str) -> None:
        """Answer a request of the SDK's here and now, with an error."""
        error = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
        self._deliver(_read(json.dumps(error).encode()))

    def stop_reading(self) -> None:
        """Have the SDK find that nothing more will come."""
        self._inbound.close()

    def _arrived(self, reply_to: int | None, message: bytes) -> None:
        try:
            self._deliver(_read(message))
        except ValidationError as error:
            if reply_to is None:
                self._deliver(error)
            else:
                self.answer(reply_to, PARSE_ERROR, "the server's answer is not one that the SDK can read")

    def _ended(self, reason: str) -> None:
        if reason not in {"client-closed", "shutdown"}:
            self._deliver(FerryError(reason))
        self._inbound.close()

    def _deliver(self, item: SessionMessage | Exception) -> None:
        try:
            self._inbound.send_nowait(item)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # The SDK reads no more.
            pass


class WriteStream:
    """What the SDK writes to. Closing it ends what it reads as well, as in the SDK."""

    def __init__(self, strait: Strait) -> None:
        """Write to this crossing."""
        self._strait = strait
        self._is_closed = False

    async def send(self, item: SessionMessage) -> None:
        """Send one message. Raises what streams of anyio raise once they are closed."""
        await checkpoint()
        if self._is_closed:
            raise anyio.ClosedResourceError
        metadata, message = item.metadata, getattr(item.message, "root", item.message)
        if isinstance(metadata, ClientMessageMetadata) and metadata.resumption_token is not None:
            # Its answer is on a stream of another session. To send the request would be to run it again.
            self._strait.answer(
                message.id,
                INVALID_REQUEST,
                "the ferry resumes streams by itself, and takes no resumption token",
            )
            return
        try:
            self._strait.send(_written(message))
        except SessionClosed as closed:
            raise anyio.BrokenResourceError from closed

    def close(self) -> None:
        """Want no more of the session."""
        self._is_closed = True
        self._strait.stop_reading()

    async def aclose(self) -> None:
        """Want no more of the session."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _read(frame: bytes) -> SessionMessage:
    """A message for the SDK. Raises `ValidationError` if it is none."""
    if IS_FIRST_LINE:
        return SessionMessage(JSONRPCMessage.model_validate_json(frame))
    return SessionMessage(jsonrpc_message_adapter.validate_json(frame, by_name=False))


def _written(message: Any) -> bytes:
    """A message of the SDK's, as its own transport would put it."""
    absent = {"exclude_none": True} if IS_FIRST_LINE else {"exclude_unset": True}
    frame: str = message.model_dump_json(by_alias=True, **absent)
    return frame.encode()


def _no_session_id() -> None:
    """What the SDK's 1.x calls for the id of the session."""
