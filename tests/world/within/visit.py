"""A visit to a server with a session of the SDK's over the ferry, in either line of the SDK.

    python visit.py URL WARES

The wares are JSON: what to call, with what, and what to answer. It prints one JSON document with what it saw.
"""

# ruff: noqa: T201 -- what it prints is what it is for

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession, types

from mcp_ferry.sdk import streamable_http_client


async def main(url: str, wares: dict[str, Any]) -> None:
    """List, call with progress, answer a question, read."""
    progress: list[float] = []

    async def on_progress(done: float, _: float | None, __: str | None) -> None:
        progress.append(done)

    async def on_question(_: Any, __: Any) -> types.ElicitResult:
        return types.ElicitResult(**wares["answer"])

    async with (
        streamable_http_client(url) as (read, write, *_),
        ClientSession(read, write, elicitation_callback=on_question) as session,
    ):
        await session.initialize()
        seen = {"tools": [tool.name for tool in (await session.list_tools()).tools]}
        for name in ("echo", "add", "ask") if wares["asks"] else ("echo", "add"):
            tool, arguments, _ = wares[name]
            seen[name] = text(await session.call_tool(tool, arguments))
        tool, arguments, _ = wares["slow"]
        seen["slow"] = text(await session.call_tool(tool, arguments, progress_callback=on_progress))
        # 1.x wants a type of pydantic's for the URI, and makes one of the text that this request has.
        asked = types.ReadResourceRequestParams(uri=wares["resource"][0])
        seen["resource"] = (await session.read_resource(asked.uri)).contents[0].text
        print(json.dumps({**seen, "progress": progress}))


def text(result: Any) -> str:
    """The text of a tool's result."""
    said: str = result.content[0].text
    return said


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
