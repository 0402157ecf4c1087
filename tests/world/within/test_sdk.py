"""The ferry's streams under the SDK's own session, in either line of the SDK."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import mcp
import pytest
from mcp import ClientSession, types
from mcp.shared.message import ClientMessageMetadata

from mcp_ferry import Server
from mcp_ferry.exceptions import ConfigError
from mcp_ferry.sdk import streamable_http_client
from tests.support.peer import Exchange, Peer

pytestmark = pytest.mark.anyio

IS_FIRST_LINE = version("mcp").startswith("1.")
SDKError: type[Exception] = mcp.McpError if IS_FIRST_LINE else mcp.MCPError

NAMED = {"name": "peer", "version": "1"}

PATIENCE = 20
"""Seconds after which what a test waits for counts as never coming."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Watched:
    """The strict server, and what it was asked over HTTP."""

    def __init__(self, port: int = 0) -> None:
        self.seen: list[dict[str, Any]] = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Condition()
        self._server = Server(port=port, events=True, observe=self._observe)
        self.url = self._server.url

    def _observe(self, exchange: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._note(exchange)))

    async def _note(self, exchange: dict[str, Any]) -> None:
        async with self._news:
            self.seen.append(exchange)
            self._news.notify_all()

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the server was asked something like this."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: any(map(wanted, self.seen)))

    def restart(self) -> None:
        """End it and begin anew at the same address, with none of its sessions."""
        self._server.close()
        self._server = Server(port=urlsplit(self.url).port or 0, events=True, observe=self._observe)

    def close(self) -> None:
        """End it."""
        self._server.close()


@pytest.fixture
async def server() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    watched.close()


@asynccontextmanager
async def connected(
    url: str, settings: dict[str, Any] | None = None, **callbacks: Any
) -> AsyncIterator[ClientSession]:
    """A session of the SDK's that has been opened."""
    async with (
        streamable_http_client(url, **(settings or {})) as (read, write, *_),
        ClientSession(read, write, **callbacks) as session,
    ):
        await session.initialize()
        yield session


def text(result: Any) -> str:
    """The text of a tool's result."""
    said: str = result.content[0].text
    return said


def is_call(exchange: dict[str, Any]) -> bool:
    return b'"tools/call"' in exchange["body"]


async def test_tools_are_listed_and_called(server: Watched) -> None:
    async with connected(server.url) as session:
        assert [tool.name for tool in (await session.list_tools()).tools] == ["echo", "add", "slow", "ask"]
        assert text(await session.call_tool("echo", {"text": "Grüße, 船"})) == "Grüße, 船"


async def test_as_many_streams_are_given_as_the_sdk_has() -> None:
    async with streamable_http_client("http://127.0.0.1:9/mcp") as streams:
        assert len(streams) == (3 if IS_FIRST_LINE else 2)
        assert [get() for get in streams[2:]] == [None] * (len(streams) - 2)


async def test_progress_is_heard(server: Watched) -> None:
    heard = []

    async def on_progress(done: float, total: float | None, _: str | None) -> None:
        heard.append((done, total))

    async with connected(server.url) as session:
        await session.call_tool("slow", {"ms": 30, "steps": 3}, progress_callback=on_progress)
    assert heard == [(1, 3), (2, 3), (3, 3)]


async def test_a_question_of_the_server_is_answered(server: Watched) -> None:
    async def on_question(_: Any, params: Any) -> types.ElicitResult:
        assert params.message == "Which colour?"
        return types.ElicitResult(action="accept", content={"answer": "blue"})

    async with connected(server.url, elicitation_callback=on_question) as session:
        assert "blue" in text(await session.call_tool("ask", {"question": "Which colour?"}))


async def test_requests_run_side_by_side(server: Watched) -> None:
    async with connected(server.url) as session:
        sums = await asyncio.gather(*(session.call_tool("add", {"a": n, "b": n}) for n in range(50)))
    assert [text(one) for one in sums] == [str(2 * n) for n in range(50)]


async def test_a_restart_of_the_server_is_survived(server: Watched) -> None:
    async with connected(server.url) as session:
        server.restart()
        assert text(await session.call_tool("add", {"a": 2, "b": 3})) == "5"


async def test_the_end_tells_the_server(server: Watched) -> None:
    async with connected(server.url):
        pass
    await server.until(lambda exchange: exchange["method"] == "DELETE")


async def test_another_task_may_end_what_one_began(server: Watched) -> None:
    stack = AsyncExitStack()
    read, write, *_ = await asyncio.create_task(stack.enter_async_context(streamable_http_client(server.url)))
    async with ClientSession(read, write) as session:
        await session.initialize()
    await asyncio.create_task(stack.aclose())
    await server.until(lambda exchange: exchange["method"] == "DELETE")


async def test_whoever_waits_when_a_stream_is_closed_is_told(server: Watched) -> None:
    async with (
        streamable_http_client(server.url) as (read, write, *_),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        call = asyncio.create_task(session.call_tool("slow", {"seconds": 60, "steps": 1}))
        await server.until(is_call)
        await write.aclose()
        with pytest.raises(SDKError, match="Connection closed"):
            await call


@pytest.mark.skipif(IS_FIRST_LINE, reason="the SDK's 1.x does not tell when it cancels")
async def test_a_cancelled_call_is_cancelled_at_the_server(server: Watched) -> None:
    async with connected(server.url) as session:
        call = asyncio.create_task(session.call_tool("slow", {"seconds": 60, "steps": 1}))
        await server.until(is_call)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.until(lambda exchange: b"notifications/cancelled" in exchange["body"])


async def test_what_the_ferry_has_to_say_is_the_answer(server: Watched) -> None:
    async with connected(server.url, {"timeout": 0.1}) as session:
        with pytest.raises(SDKError, match="timeout"):
            await session.call_tool("slow", {"seconds": 60, "steps": 1})


async def test_an_error_of_the_server_is_the_answer(server: Watched) -> None:
    async with connected(server.url) as session:
        with pytest.raises(SDKError):
            await session.get_prompt("no such prompt")


async def test_a_setting_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(ConfigError):
        async with streamable_http_client("ftp://example.com/mcp"):
            pass


async def test_an_http_client_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="give its headers"):
        async with streamable_http_client("http://127.0.0.1:9/mcp", http_client=object()):
            pass


async def test_an_answer_that_the_sdk_cannot_read_is_an_error_and_the_session_goes_on() -> None:
    def answer(exchange: Exchange) -> None:
        message = exchange.message or {}
        results = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": NAMED},
            "tools/call": "not an object",
            "ping": {},
        }
        if message.get("method") in results:
            result = results[message["method"]]
            exchange.send_json({"jsonrpc": "2.0", "id": message["id"], "result": result})
        else:
            exchange.send(202 if exchange.command == "POST" else 405)

    with Peer(answer) as peer:
        async with connected(peer.url) as session:
            with pytest.raises(SDKError, match="not one that the SDK can read"):
                await session.call_tool("add", {})
            await session.send_ping()


async def test_a_resumption_token_is_refused_and_nothing_is_run(server: Watched) -> None:
    call = types.CallToolRequest(params=types.CallToolRequestParams(name="add", arguments={"a": 1, "b": 1}))
    async with connected(server.url) as session:
        with pytest.raises(SDKError, match="no resumption token"):
            await session.send_request(
                types.ClientRequest(call) if IS_FIRST_LINE else call,
                types.CallToolResult,
                metadata=ClientMessageMetadata(resumption_token="from-before"),
            )
    assert not any(map(is_call, server.seen))


async def test_what_is_left_lying_ends_by_itself(server: Watched) -> None:
    streams = streamable_http_client(server.url)
    read, write, *_ = await streams.__aenter__()
    async with ClientSession(read, write) as session:
        await session.initialize()
    del read, write, session, streams
    gc.collect()
    await server.until(lambda exchange: exchange["method"] == "DELETE")
