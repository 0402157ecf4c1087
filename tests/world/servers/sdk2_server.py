"""A server made with the Python SDK 2.x, which serves both eras at one endpoint, over Streamable HTTP.

    python sdk2_server.py [--stateless] [--json]

It offers what the server that comes with the bridge offers. It listens on a free loopback port before it
says so, on stdout, and needs no waiting after that.
"""

# ruff: noqa: T201 -- it says where it listens

import argparse
import socket
from typing import Annotated

import anyio
import uvicorn
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, MCPServer, Resolve
from pydantic import BaseModel

flags = argparse.ArgumentParser()
flags.add_argument("--stateless", action="store_true")
flags.add_argument("--json", action="store_true")
chosen = flags.parse_args()
server = MCPServer("world-sdk2")


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


def put(question: str) -> Elicit[Answer]:
    """What `ask` needs before it runs.

    In the legacy era a request of the server's gets it, in the modern an answer that wants input.
    """
    return Elicit(question, Answer)


@server.tool()
def ask(question: str, given: Annotated[ElicitationResult[Answer], Resolve(put)]) -> str:
    """Put the question to the person at the other end."""
    return given.data.answer if given.action == "accept" else f"{given.action}: {question}"


@server.resource("ferry://tide-table", mime_type="text/plain")
def tide_table() -> str:
    """High water at the landing."""
    return "High water 05:12 and 17:38"


@server.prompt()
def hail(vessel: str) -> str:
    """Ask a vessel to come alongside."""
    return f"{vessel}, please come alongside"


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
app = server.streamable_http_app(stateless_http=chosen.stateless, json_response=chosen.json)
config = uvicorn.Config(app, log_level="info")
uvicorn.Server(config).run(sockets=[listener])
