"""A transport for the client of FastMCP, over a ferry in this process.

from fastmcp import Client
from mcp_ferry.fastmcp import FerryTransport

async with Client(FerryTransport("https://example.com/mcp", auth="Bearer TOKEN")) as client:
    await client.list_tools()
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastmcp.client.transports import ClientTransport
from fastmcp.client.transports.base import TransportOptions

from mcp_ferry.sdk import streamable_http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    from mcp import ClientSession

    from mcp_ferry.client import Headers, Settings


class FerryTransport(ClientTransport):
    """Reaches the MCP server at `url`; the arguments are those of `mcp_ferry.connect`."""

    def __init__(
        self,
        url: str,
        headers: Headers | None = None,
        *,
        auth: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Keep what a session will need. Nothing is checked or sent before one begins."""
        self._url = url
        self._headers = headers
        self._auth = auth
        self._settings = settings

    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: TransportOptions | None = None, **session_kwargs: Any
    ) -> AsyncIterator[ClientSession]:
        """A session of the SDK's that is not open yet, for the length of a `with` block.

        A proxy's wish to hand on the headers that it was asked with is not granted: what a session may say to
        this server is what the transport was made with. Raises `ConfigError` for a setting that cannot be
        used.
        """
        session_class = (transport_options or TransportOptions()).session_class
        async with (
            streamable_http_client(self._url, self._headers, auth=self._auth, **self._settings) as (
                read,
                write,
                *_,
            ),
            session_class(read, write, **session_kwargs) as session,
        ):
            yield session

    def __repr__(self) -> str:
        return "<FerryTransport>"
