"""A client made with the Python SDK 2.x.

    python sdk2_client.py legacy|auto COMMAND [ARGUMENT...]

It launches the command as its server and prints one JSON document with what it saw. In the mode `auto`
it asks for the modern era first, and falls back to `initialize` on the same pipe.
"""

# ruff: noqa: T201 -- what it prints is what it is for

import json
import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, types


async def main(mode: str, command: str, arguments: list[str]) -> dict[str, Any]:
    """List, call with progress, answer a question, read."""
    progress: list[list[float | None]] = []
    questions: list[str] = []

    async def on_progress(done: float, total: float | None, _: str | None) -> None:
        progress.append([done, total])

    async def on_question(_: Any, params: Any) -> types.ElicitResult:
        questions.append(params.message)
        return types.ElicitResult(action="accept", content={"answer": "blue"})

    launch = StdioServerParameters(command=command, args=arguments)
    async with Client(launch, mode=mode, elicitation_callback=on_question) as client:
        tools = (await client.list_tools()).tools
        added = await client.call_tool("add", {"a": 2, "b": 3})
        slow = await client.call_tool("slow", {"steps": 3, "ms": 150}, progress_callback=on_progress)
        asked = await client.call_tool("ask", {"question": "Which colour?"})
        table = await client.read_resource("ferry://tide-table")
        return {
            "protocol": client.protocol_version,
            "tools": sorted(tool.name for tool in tools),
            "add": added.content[0].text,
            "slow": slow.content[0].text,
            "progress": progress,
            "questions": questions,
            "ask": asked.content[0].text,
            "table": table.contents[0].text,
        }


print(json.dumps(anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3:])))
