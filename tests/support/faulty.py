"""A small MCP server on asyncio that breaks one of so many exchanges on purpose, and remembers what it ran.

It works at the level of bytes and runs in a thread of its own:

    with FaultyServer(every=200) as server:
        ...  # talk to server.url
    assert not server.doubled
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Self

DELAY = 0.2
"""Seconds that a late answer takes."""


class Wire:
    """One connection of the server's: requests in, pieces of answers out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> tuple[str, dict[str, str], bytes]:
        """The next request: its method, its headers in lower case, its body."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return first.split(" ")[0], headers, body

    async def send(self, status: str, body: bytes = b"", *headers: str) -> None:
        """A whole answer."""
        lines = (f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", "")
        self._writer.write("\r\n".join(lines).encode() + body)
        await self._writer.drain()

    async def send_json(self, message: object, *headers: str) -> None:
        """A message as the whole answer."""
        await self.send("200 OK", json.dumps(message).encode(), "content-type: application/json", *headers)

    async def begin_events(self, first: bytes) -> None:
        """The head of an event stream, and its first bytes."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self._writer.write(head + b"%x\r\n%b\r\n" % (len(first), first))
        await self._writer.drain()

    def end_events(self) -> None:
        """The orderly end of an event stream."""
        self._writer.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection by a reset, as a host that dies."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection in order."""
        self._writer.close()


class FaultyServer:
    """The server. Every `every`th request in a session meets the next of the faults; 0 for none."""

    def __init__(self, every: int) -> None:
        self.faults: Counter[str] = Counter()
        """How often each fault was put in."""
        self.runs: Counter[int] = Counter()
        """How often each `tools/call` was executed, by its id."""
        self.deleted = 0
        """How many sessions were ended by DELETE."""
        self.opened = 0
        """How many sessions were opened."""
        self._every = every
        self._count = 0
        self._cycle = itertools.cycle(self._catalogue())
        self._sessions: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/mcp"
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._stop = asyncio.Event()

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; close every connection."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    @property
    def doubled(self) -> list[int]:
        """The calls that were executed more than once."""
        return [identifier for identifier, runs in self.runs.items() if runs > 1]

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, sock=self._socket, limit=1 << 24)
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                await self._exchange(wire, *await wire.request())
        wire.close()

    async def _exchange(self, wire: Wire, method: str, headers: dict[str, str], body: bytes) -> None:
        session = headers.get("mcp-session-id", "")
        if method == "DELETE":
            self.deleted += 1
            self._sessions.discard(session)
            await wire.send("204 No Content")
        elif method == "GET":
            await wire.send("405 Method Not Allowed")
        else:
            await self._post(wire, session, json.loads(body))

    async def _post(self, wire: Wire, session: str, message: dict[str, Any]) -> None:
        if message["method"] == "initialize":
            await self._open_session(wire, message)
        elif session not in self._sessions:
            await wire.send("404 Not Found")
        elif "id" not in message:
            await wire.send("202 Accepted")
        else:
            self._count += 1
            if self._every and self._count % self._every == 0:
                name, fault = next(self._cycle)
                self.faults[name] += 1
                await fault(wire, message)
            else:
                await self._answer(wire, message)

    async def _open_session(self, wire: Wire, message: dict[str, Any]) -> None:
        self.opened += 1
        session = f"session-{self.opened}"
        self._sessions.add(session)
        result = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {},
            "serverInfo": {"name": "faulty", "version": "0"},
        }
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        await wire.send_json(reply, f"mcp-session-id: {session}")

    def _run(self, message: dict[str, Any]) -> dict[str, Any]:
        """Execute a request; its answer."""
        if message["method"] == "tools/call":
            self.runs[message["id"]] += 1
        content = [{"type": "text", "text": str(message["id"])}]
        return {"jsonrpc": "2.0", "id": message["id"], "result": {"content": content}}

    async def _answer(self, wire: Wire, message: dict[str, Any]) -> None:
        await wire.send_json(self._run(message))

    # The faults. All but those that refuse happen after the request was executed.

    def _catalogue(self) -> list[tuple[str, Callable[[Wire, dict[str, Any]], Awaitable[None]]]]:
        return [
            ("reset after the request", self._reset),
            ("stream cut before the reply", self._cut_stream),
            ("half an event", self._half_event),
            ("502", self._bad_gateway),
            ("session forgotten", self._forget),
            ("429, Retry-After 0", self._too_many_now),
            ("429, Retry-After 1", self._too_many),
            ("late answer", self._late),
            ("answer under another id", self._wrong_id),
        ]

    async def _reset(self, wire: Wire, message: dict[str, Any]) -> None:
        self._run(message)
        wire.cut()

    async def _cut_stream(self, wire: Wire, message: dict[str, Any]) -> None:
        self._run(message)
        await wire.begin_events(b": working\n\n")
        wire.cut()

    async def _half_event(self, wire: Wire, message: dict[str, Any]) -> None:
        reply = json.dumps(self._run(message)).encode()
        await wire.begin_events(b"data: " + reply[: len(reply) // 2])
        wire.end_events()
        wire.close()

    async def _bad_gateway(self, wire: Wire, message: dict[str, Any]) -> None:
        self._run(message)
        await wire.send("502 Bad Gateway", b"<h1>Bad Gateway</h1>", "content-type: text/html")

    async def _forget(self, wire: Wire, message: dict[str, Any]) -> None:
        del message
        self._sessions.clear()
        await wire.send("404 Not Found")

    async def _too_many_now(self, wire: Wire, message: dict[str, Any]) -> None:
        del message
        await wire.send("429 Too Many Requests", b"", "retry-after: 0")

    async def _too_many(self, wire: Wire, message: dict[str, Any]) -> None:
        del message
        await wire.send("429 Too Many Requests", b"", "retry-after: 1")

    async def _late(self, wire: Wire, message: dict[str, Any]) -> None:
        await asyncio.sleep(DELAY)
        await self._answer(wire, message)

    async def _wrong_id(self, wire: Wire, message: dict[str, Any]) -> None:
        reply = self._run(message)
        await wire.send_json({**reply, "id": f"not {message['id']}"})
