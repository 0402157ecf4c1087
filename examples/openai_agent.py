"""An agent of the OpenAI Agents SDK whose tools cross with the ferry.

    pip install mcp-ferry openai-agents
    python openai_agent.py https://example.com/mcp

The SDK's own class for remote servers needs one method of its own: the one that makes the streams. With
OPENAI_API_KEY set, the SDK's usual model answers; without it, one that plays a part it has learnt by heart.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.mcp import MCPServerStreamableHttp
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from mcp_ferry.sdk import streamable_http_client


class FerriedServer(MCPServerStreamableHttp):
    """A remote server, reached over the ferry's streams."""

    def create_streams(self) -> AbstractAsyncContextManager[Any]:
        """What the SDK's session reads and writes."""
        return streamable_http_client(self.params["url"], headers=self.params.get("headers"))


class Understudy(Model):
    """A model that says its lines in order, whatever it hears."""

    def __init__(self) -> None:
        """Learn the part."""
        text = ResponseOutputText(text="19 and 23 make 42.", annotations=[], type="output_text")
        self._lines: list[TResponseOutputItem] = [
            ResponseFunctionToolCall(
                name="add", arguments='{"a": 19, "b": 23}', call_id="call-1", type="function_call"
            ),
            ResponseOutputMessage(
                id="answer", content=[text], role="assistant", status="completed", type="message"
            ),
        ]

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        """Say the next line."""
        return ModelResponse(output=[self._lines.pop(0)], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Nobody asks for this."""
        raise NotImplementedError


async def main(url: str) -> None:
    """Put one question to an agent and show the answer, and the tools that it took."""
    model = None if "OPENAI_API_KEY" in os.environ else Understudy()
    if model is not None:
        set_tracing_disabled(disabled=True)
    async with FerriedServer({"url": url}) as server:
        agent = Agent("harbour master", model=model, mcp_servers=[server])
        result = await Runner.run(agent, "What do 19 and 23 make?")
    for item in result.new_items:
        print(item.type)
    print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
