"""A client made with the Python SDK 1.x.

    python sdk1_client.py COMMAND [ARGUMENT...]

It launches the command as its server and prints one JSON document with what it saw.
"""

# ruff: noqa: T201 -- what it prints is what it is for

import json
import sys
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters, stdio_client, types


async def main(command: str, arguments: list[str]) -> dict[str, Any]:
    """List, call with progress, answer a question, read."""
    progress: list[list[float | None]] = []
    questions: list[str] = []

    async def on_progress(done: float, total: float | None, _: str | None) -> None:
        progress.append([done, total])

    async def on_question(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        questions.append(params.message)
        return types.ElicitResult(action="accept", content={"answer": "blue"})

    async with (
        stdio_client(StdioServerParameters(command=command, args=arguments)) as (read, write),
        ClientSession(read, write, elicitation_callback=on_question) as session,
    ):
        opened = await session.initialize()
        tools = (await session.list_tools()).tools
        added = await session.call_tool("add", {"a": 2, "b": 3})
        slow = await session.call_tool("slow", {"steps": 3, "ms": 150}, progress_callback=on_progress)
        asked = await session.call_tool("ask", {"question": "Which colour?"})
        table = await session.read_resource(types.AnyUrl("ferry://tide-table"))
        return {
            "protocol": opened.protocolVersion,
            "tools": sorted(tool.name for tool in tools),
            "add": added.content[0].text,
            "slow": slow.content[0].text,
            "progress": progress,
            "questions": questions,
            "ask": asked.content[0].text,
            "table": table.contents[0].text,
        }


print(json.dumps(anyio.run(main, sys.argv[1], sys.argv[2:])))
