"""Streamable HTTP in front of the bridge, so that the suite's server scenarios go through it.

    python front.py URL

The suite speaks HTTP to this front, the front speaks stdio to bridges that lead to the URL: to one of its own
for every legacy session, to any idle one for a modern request. The front does what only an HTTP server can do
(sessions, the checks of origin and version headers, status codes); all else is for the server behind the
bridge to answer. The bridge's command is in `FERRY_COMMAND`. It prints its own URL once it listens.
"""

# ruff: noqa: T201 -- it says where it listens

import asyncio
import json
import os
import socket
import sys
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

COMMAND = [*json.loads(os.environ["FERRY_COMMAND"]), sys.argv[1]]
MODERN = "2026-07-28"
VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
HEADER_MISMATCH = -32020
STATUS = {-32601: 404, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400}
"""What a modern server's errors are in HTTP."""

LOCAL = {"localhost", "127.0.0.1", "[::1]"}
SESSIONS = 6
"""Legacy sessions that are kept; the oldest ends when one more begins, for not every client says goodbye."""

WARM = 3
"""Modern bridges that are started beforehand: a stream, a call beside it, and one to spare."""

LINE = 16 * 2**20
"""Bytes of the longest line that a bridge may write."""

Exchange = asyncio.Queue[str]
"""What came for one HTTP request, as lines."""


class Bridge:
    """A running bridge and the exchanges that go over it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._exchanges: dict[str, Exchange] = {}
        self._reader = asyncio.create_task(self._read())
        self.listener: Exchange = asyncio.Queue()
        """What belongs to no exchange."""

    @classmethod
    async def start(cls) -> "Bridge":
        """A new one."""
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*COMMAND, stdin=pipe, stdout=pipe, limit=LINE))

    @classmethod
    async def start_modern(cls) -> "Bridge":
        """A new one that has already been used for a modern request."""
        bridge = await cls.start()
        meta = {VERSION: MODERN, CAPABILITIES: {}}
        discover = {"jsonrpc": "2.0", "id": 0, "method": "server/discover", "params": {"_meta": meta}}
        await bridge.send(discover).get()
        bridge.forget(0)
        return bridge

    def send(self, message: dict[str, Any]) -> Exchange:
        """Write a message; if it is a request, what it brings comes out of the exchange."""
        exchange: Exchange = asyncio.Queue()
        if is_request(message):
            self._exchanges[key(message["id"])] = exchange
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        return exchange

    def forget(self, identifier: Any) -> bool:
        """The exchange is over; whether it was still open at this end."""
        return self._exchanges.pop(key(identifier), None) is not None

    def close(self) -> None:
        """Say that nothing more comes; the bridge then ends by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def _read(self) -> None:
        """Give each line to the exchange that it belongs to: a reply by its id, all else to the latest."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            if "method" in message:
                latest = list(self._exchanges.values())[-1:]
                (latest or [self.listener])[0].put_nowait(line.decode().strip())
            elif key(message["id"]) in self._exchanges:
                self._exchanges[key(message["id"])].put_nowait(line.decode().strip())
        await self._process.wait()


sessions: OrderedDict[str, Bridge] = OrderedDict()
idle: list[Bridge] = []
"""Modern bridges that no request is using: each serves one at a time, so nothing has to be told apart."""


def key(identifier: Any) -> str:
    """An id as a key that keeps `1` and `"1"` apart."""
    return json.dumps(identifier)


def is_request(message: dict[str, Any]) -> bool:
    """Whether a reply is due."""
    return "method" in message and "id" in message


def is_reply(line: str) -> bool:
    """Whether the exchange is over with this line."""
    return "method" not in json.loads(line)


def version_of(message: dict[str, Any]) -> Any:
    """The revision that a message claims, if it is modern."""
    return message.get("params", {}).get("_meta", {}).get(VERSION)


def is_local(request: Request) -> bool:
    """Whether a browser that was led astray cannot have sent this."""
    origin = request.headers.get("origin", "//localhost").partition("//")[2]
    return all(
        host.rpartition(":")[0] in LOCAL or host in LOCAL for host in (request.headers["host"], origin)
    )


def json_response(body: str, status: int) -> Response:
    """One message."""
    return Response(body, status, media_type="application/json")


def refusal(message: dict[str, Any], status: int, code: int, reason: str) -> Response:
    """An error of this front's own."""
    error = {"code": code, "message": reason}
    return json_response(json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "error": error}), status)


def status_of(line: str) -> int:
    """The HTTP status of a modern reply."""
    return STATUS.get(json.loads(line).get("error", {}).get("code"), 200)


def event(line: str) -> str:
    """A line as a server-sent event."""
    return f"event: message\ndata: {line}\n\n"


async def post(request: Request) -> Response:
    """One message from the client."""
    if not is_local(request):
        return Response("not from here", 403)
    message = await request.json()
    header = request.headers.get("mcp-protocol-version", "")
    if version_of(message) is None and header < MODERN:
        return await legacy(request.headers.get("mcp-session-id"), message)
    if version_of(message) not in (None, header):
        return refusal(message, 400, HEADER_MISMATCH, "MCP-Protocol-Version differs from _meta")
    bridge = idle.pop() if idle else await Bridge.start_modern()
    return await answered(bridge, message, is_modern=True)


async def legacy(session: str | None, message: dict[str, Any]) -> Response:
    """A message of a session, or the one that opens it."""
    if message.get("method") == "initialize":
        session = uuid.uuid4().hex
        sessions[session] = await Bridge.start()
        if len(sessions) > SESSIONS:
            sessions.popitem(last=False)[1].close()
    elif session is None:
        return refusal(message, 400, -32600, "no session id")
    elif session not in sessions:
        return refusal(message, 404, -32600, "no such session")
    bridge = sessions[session]
    if is_request(message):
        return await answered(bridge, message, is_modern=False, **{"mcp-session-id": session})
    bridge.send(message)
    return Response(status_code=202)


async def answered(bridge: Bridge, message: dict[str, Any], *, is_modern: bool, **headers: str) -> Response:
    """What a request brings: a stream of events, or a JSON document where a modern reply comes alone.

    Only a reply that comes alone can have a status of its own.
    """
    exchange = bridge.send(message)
    first = await exchange.get()
    if is_modern and is_reply(first):
        finish(bridge, message, is_modern=is_modern, is_cut=False)
        return json_response(first, status_of(first))

    async def stream() -> AsyncIterator[str]:
        is_cut = True
        try:
            line = first
            yield event(line)
            while not is_reply(line):
                line = await exchange.get()
                yield event(line)
            is_cut = False
        finally:
            finish(bridge, message, is_modern=is_modern, is_cut=is_cut)

    return StreamingResponse(stream(), headers=headers, media_type="text/event-stream")


def finish(bridge: Bridge, message: dict[str, Any], *, is_modern: bool, is_cut: bool) -> None:
    """The exchange is over: a modern one leaves its bridge to the next, or cancels what its client left."""
    bridge.forget(message["id"])
    if is_modern and is_cut:
        params = {"requestId": message["id"], "_meta": {VERSION: MODERN}}
        bridge.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
        bridge.close()
    elif is_modern:
        idle.append(bridge)


async def get(request: Request) -> Response:
    """The listener of a session."""
    bridge = sessions.get(request.headers.get("mcp-session-id", ""))
    if bridge is None:
        return Response("no such session", 404 if "mcp-session-id" in request.headers else 405)

    async def stream() -> AsyncIterator[str]:
        while True:
            yield event(await bridge.listener.get())

    return StreamingResponse(stream(), media_type="text/event-stream")


async def delete(request: Request) -> Response:
    """The end of a session."""
    bridge = sessions.pop(request.headers.get("mcp-session-id", ""), None)
    if bridge is None:
        return Response("no such session", 404)
    bridge.close()
    return Response(status_code=204)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Have bridges ready, and leave none behind."""
    idle.extend(await asyncio.gather(*(Bridge.start_modern() for _ in range(WARM))))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    yield
    for bridge in (*idle, *sessions.values()):
        bridge.close()


routes = [Route("/mcp", handler, methods=[handler.__name__.upper()]) for handler in (post, get, delete)]
listener = socket.create_server(("127.0.0.1", 0))
app = Starlette(routes=routes, lifespan=lifespan)
config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
