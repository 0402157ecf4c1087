"""A LangChain agent whose tools cross with the ferry.

    pip install mcp-ferry langchain langchain-mcp-adapters
    python langchain_agent.py https://example.com/mcp

The only line that differs from LangChain's own way is the import of `streamable_http_client`. With MODEL set,
to `openai:gpt-5` for instance, that model answers; without it, one that plays a part it has learnt by heart.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, ToolCall
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession

from mcp_ferry.sdk import streamable_http_client


class Understudy(FakeMessagesListChatModel):
    """A model that says its lines in order, whatever it hears."""

    def bind_tools(self, tools: Any, **_: Any) -> Understudy:  # noqa: ARG002 -- it knows which it will call
        """Take the tools as they are."""
        return self


def chosen_model() -> BaseChatModel:
    """The model that MODEL names, or the understudy."""
    if name := os.environ.get("MODEL"):
        return init_chat_model(name)
    sum_up = ToolCall(name="add", args={"a": 19, "b": 23}, id="call-1")
    return Understudy(responses=[AIMessage("", tool_calls=[sum_up]), AIMessage("19 and 23 make 42.")])


async def main(url: str) -> None:
    """Put one question to an agent and show all that was said."""
    async with streamable_http_client(url) as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        agent = create_agent(chosen_model(), tools=await load_mcp_tools(session))
        answer = await agent.ainvoke({"messages": [("user", "What do 19 and 23 make?")]})
    for message in answer["messages"]:
        print(f"{message.type:>5}: {message.text or message.tool_calls}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
