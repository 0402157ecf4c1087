"""The ferry under FastMCP's client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastmcp import Client
from mcp import MCPError

from mcp_ferry import Server
from mcp_ferry.fastmcp import FerryTransport

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(events=True) as running:
        yield running


async def test_tools_are_listed_and_called(server: Server) -> None:
    async with Client(FerryTransport(server.url)) as client:
        assert [tool.name for tool in await client.list_tools()] == ["echo", "add", "slow", "ask"]
        assert (await client.call_tool("add", {"a": 2, "b": 3})).content[0].text == "5"


async def test_progress_is_heard(server: Server) -> None:
    heard = []

    async def on_progress(done: float, total: float | None, _: str | None) -> None:
        heard.append((done, total))

    async with Client(FerryTransport(server.url)) as client:
        await client.call_tool("slow", {"ms": 30, "steps": 3}, progress_handler=on_progress)
    assert heard == [(1, 3), (2, 3), (3, 3)]


async def test_a_question_of_the_server_is_answered(server: Server) -> None:
    async def on_question(message: str, *_: Any) -> dict[str, str]:
        assert message == "Which colour?"
        return {"answer": "blue"}

    async with Client(FerryTransport(server.url), elicitation_handler=on_question) as client:
        result = await client.call_tool("ask", {"question": "Which colour?"})
        assert "blue" in result.content[0].text


async def test_an_error_of_the_server_is_the_answer(server: Server) -> None:
    async with Client(FerryTransport(server.url)) as client:
        with pytest.raises(MCPError):
            await client.call_tool("add", {"a": "two"})


async def test_a_restart_of_the_server_is_survived(server: Server) -> None:
    async with Client(FerryTransport(server.url)) as client:
        server.close()
        with Server(port=urlsplit(server.url).port or 0, events=True):
            assert (await client.call_tool("add", {"a": 2, "b": 3})).content[0].text == "5"


async def test_a_transport_may_be_used_again(server: Server) -> None:
    transport = FerryTransport(server.url)
    for _ in range(2):
        async with Client(transport) as client:
            assert await client.ping()
