"""A pytest plugin for the SDK's own tests: what they reach over Streamable HTTP, they reach over the ferry.

    python -m pytest -p point_at_ferry tests/...

Their servers are applications that tests of the 2.x call without a socket. The ferry needs one, so such an
application gets a loopback port for as long as the test holds the streams.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import mcp.client.streamable_http
import uvicorn

from mcp_ferry import sdk

OWN = {"accept", "accept-encoding", "connection", "content-type", "host", "user-agent"}
"""Headers that an HTTP client has by itself."""


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:
    """The address of an application that runs already.

    The steps of the server's own loop, without its waits of a tenth of a second: there are hundreds of tests.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, log_level="error", lifespan="off", ws="none")
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for one in server.servers:
                one.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()


@asynccontextmanager
async def streamable_http_client(
    url: str, *, http_client: Any = None, **_: Any
) -> AsyncIterator[tuple[Any, ...]]:
    """The ferry's streams, with what the test's HTTP client says about where to and with which headers."""
    headers: list[tuple[str, str]] = []
    async with contextlib.AsyncExitStack() as stack:
        if http_client is not None:
            headers = [(name, value) for name, value in http_client.headers.items() if name not in OWN]
            transport = vars(http_client._transport)  # noqa: SLF001 -- nobody else knows the application
            application = transport.get("_app", transport.get("app"))
            if application is not None:
                url = await stack.enter_async_context(serving(application)) + urlsplit(url).path
        yield await stack.enter_async_context(sdk.streamable_http_client(url, headers))


mcp.client.streamable_http.streamable_http_client = streamable_http_client
