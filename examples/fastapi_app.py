"""A web application that offers the tools of an MCP server as plain HTTP.

    pip install mcp-ferry fastapi uvicorn
    MCP_SERVER_URL=https://example.com/mcp uvicorn fastapi_app:app

One session serves all requests of the application, side by side. It opens with the application and ends with
it, and when the server restarts in between, nobody notices.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request

import mcp_ferry


@asynccontextmanager
async def session(app: FastAPI) -> AsyncIterator[None]:
    """Keep a session for as long as the application runs."""
    async with mcp_ferry.connect(os.environ["MCP_SERVER_URL"]) as app.state.session:
        yield


app = FastAPI(lifespan=session)


@app.get("/tools")
async def tools(request: Request) -> list[dict[str, Any]]:
    """What there is to call."""
    return await request.app.state.session.list_tools()


@app.post("/tools/{name}")
async def call(name: str, arguments: dict[str, Any], request: Request) -> dict[str, Any]:
    """Call a tool. An error says whose it is, and whether the call may have run."""
    try:
        return await request.app.state.session.call_tool(name, arguments, timeout=30)
    except mcp_ferry.ServerError as error:
        raise HTTPException(422, error.message) from error
    except mcp_ferry.TransportError as error:
        raise HTTPException(502, {"kind": error.kind, "may_have_run": error.maybe_processed}) from error
