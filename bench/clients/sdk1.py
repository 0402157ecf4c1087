"""The official Python SDK 1.x, measured: a kept `ClientSession` for each session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from bench.clients.keeper import keeping
from bench.clients.measuring import main


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[ClientSession]:
    """One session."""
    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def echo(session: ClientSession, text: str) -> str:
    """Call it."""
    answer: str = (await session.call_tool("echo", {"text": text})).content[0].text
    return answer


if __name__ == "__main__":
    main(keeping(connect, echo))
