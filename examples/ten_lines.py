"""List a server's tools and call one: python ten_lines.py https://example.com/mcp."""

import asyncio
import sys

import mcp_ferry


async def main(url: str) -> None:
    """Open a session, ask, show."""
    async with mcp_ferry.connect(url) as session:
        for tool in await session.list_tools():
            print(tool["name"], "-", tool.get("description", ""))
        result = await session.call_tool("add", {"a": 19, "b": 23})
        print(result["content"][0]["text"])


asyncio.run(main(sys.argv[1]))
