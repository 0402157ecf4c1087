"""A server of either line of the Python SDK, stateful, whose one tool tells a ledger that it runs.

    python ledger_server.py --port N --ledger N [--json]

`work` connects to the ledger, a loopback port, writes its text there as one line, and returns the text once
the ledger has answered. So the ledger, which outlives this process, knows every run and may hold it.
"""

# ruff: noqa: T201 -- it says where it listens

from __future__ import annotations

import argparse
import socket
from typing import Any

import anyio
import uvicorn

flags = argparse.ArgumentParser()
flags.add_argument("--port", type=int, required=True)
flags.add_argument("--ledger", type=int, required=True)
flags.add_argument("--json", action="store_true")
chosen = flags.parse_args()

server: Any
try:
    from mcp.server.mcpserver import MCPServer
except ImportError:
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("world-ledger", json_response=chosen.json)
    make_app = server.streamable_http_app
else:
    server = MCPServer("world-ledger")

    def make_app() -> Any:
        """The application, which the second line sets up only here."""
        return server.streamable_http_app(json_response=chosen.json)


@server.tool()
async def work(text: str) -> str:
    """Give the text back as soon as the ledger lets it."""
    async with await anyio.connect_tcp("127.0.0.1", chosen.ledger) as ledger:
        await ledger.send(f"{text}\n".encode())
        await ledger.receive()
    return text


listener = socket.create_server(("127.0.0.1", chosen.port))
print(f"listening on http://127.0.0.1:{chosen.port}/mcp", flush=True)
config = uvicorn.Config(make_app(), log_level="info", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
