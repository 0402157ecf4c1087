"""A server made with the Python SDK 1.x, over Streamable HTTP, or over HTTP+SSE of 2024-11-05.

    python sdk1_server.py [--port N] [--stateless] [--json]
    python sdk1_server.py [--port N] --sse

It offers what the server that comes with the bridge offers. It listens on loopback, by itself on a
free port, before it says so, on stdout, and needs no waiting after that.
"""

# ruff: noqa: T201 -- it says where it listens

from __future__ import annotations

import argparse
import socket

import anyio
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

flags = argparse.ArgumentParser()
flags.add_argument("--stateless", action="store_true")
flags.add_argument("--json", action="store_true")
flags.add_argument("--port", type=int, default=0)
flags.add_argument("--sse", action="store_true")
chosen = flags.parse_args()
server = FastMCP("world-sdk1", stateless_http=chosen.stateless, json_response=chosen.json)


class Answer(BaseModel):
    """What `ask` wants to know."""

    answer: str


@server.tool()
def echo(text: str) -> str:
    """Give the text back."""
    return text


@server.tool()
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@server.tool()
async def slow(context: Context, steps: int = 3, ms: int = 150) -> str:
    """Take the given time and tell the progress step by step."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await anyio.sleep(ms / 1000 / steps)
    return f"{steps} steps"


@server.tool()
async def ask(context: Context, question: str) -> str:
    """Put the question to the person at the other end."""
    asked = await context.elicit(question, Answer)
    return asked.data.answer if asked.action == "accept" else asked.action


@server.resource("ferry://tide-table", mime_type="text/plain")
def tide_table() -> str:
    """High water at the landing."""
    return "High water 05:12 and 17:38"


@server.prompt()
def hail(vessel: str) -> str:
    """Ask a vessel to come alongside."""
    return f"{vessel}, please come alongside"


listener = socket.create_server(("127.0.0.1", chosen.port))
path, app = ("/sse", server.sse_app()) if chosen.sse else ("/mcp", server.streamable_http_app())
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)
# A stream of HTTP+SSE has no end of its own: a server that shuts down must not wait for it.
config = uvicorn.Config(app, log_level="info", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
