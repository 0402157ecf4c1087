"""A small server of the HTTP+SSE transport of 2024-11-05, whose stream a test can cut and hold back.

with OldServer() as server, Ferry(server.url) as ferry: ...
"""

from __future__ import annotations

import json
import queue
import threading
from typing import Any, Self

from tests.support.ferry import DEADLINE
from tests.support.peer import Exchange, Peer


class OldServer:
    """The server. A POST to its URL is answered by `refusal`; its stream names `endpoint`.

    It answers `initialize` and every other request with a result at once, except for the tool `late`, which
    waits for `release`. Messages of a stream that was cut are answered by 404.
    """

    def __init__(self, *, refusal: int = 405, endpoint: str = "/message?stream={number}") -> None:
        """Listen on a free loopback port."""
        self._peer = Peer(self._answer)
        self.url = self._peer.url
        self._base = self.url.removesuffix("/mcp")
        self._refusal = refusal
        self._endpoint = endpoint
        self._news = threading.Condition()
        self._streams: dict[int, queue.SimpleQueue[bytes | None]] = {}
        self._opened = 0
        self._seen: list[tuple[str, str]] = []
        self._acknowledged: list[str] = []
        self._released = threading.Event()

    def __enter__(self) -> Self:
        """Serve."""
        self._peer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._released.set()
        self.cut()
        self._peer.__exit__()

    @property
    def seen(self) -> list[tuple[str, str]]:
        """The path, and the method of the message or else of HTTP, of every request, in order."""
        with self._news:
            return list(self._seen)

    def wait_for(self, method: str) -> None:
        """Return once such a message was acknowledged."""
        with self._news:
            assert self._news.wait_for(lambda: method in self._acknowledged, DEADLINE)

    def cut(self) -> None:
        """End every stream, in the middle of its body."""
        with self._news:
            for stream in self._streams.values():
                stream.put(None)
            self._streams.clear()

    def say(self, message: dict[str, Any]) -> None:
        """Send a message of the server's own by every stream."""
        with self._news:
            for stream in self._streams.values():
                stream.put(event("message", json.dumps(message)))

    def release(self) -> None:
        """Let the tool `late` answer."""
        self._released.set()

    def _answer(self, exchange: Exchange) -> None:
        method = exchange.message.get("method", "response") if exchange.message else exchange.command
        path, _, number = exchange.path.partition("?stream=")
        with self._news:
            self._seen.append((path, method))
        if exchange.command == "GET":
            self._stream(exchange)
        elif path == "/message":
            self._take(exchange, int(number), method)
        else:
            exchange.send(self._refusal, b"<h1>no</h1>", content_type="text/html")

    def _stream(self, exchange: Exchange) -> None:
        """Answer with an event stream for as long as nobody cuts it."""
        stream: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with self._news:
            self._opened += 1
            number = self._opened
            self._streams[number] = stream
        endpoint = event("endpoint", self._endpoint.format(base=self._base, number=number))
        exchange.close_connection = True
        exchange.send_chunks("text/event-stream", [endpoint], last=False)
        while (data := stream.get()) is not None:
            exchange.send_chunk(data)

    def _take(self, exchange: Exchange, number: int, method: str) -> None:
        """Acknowledge a message, and answer it by its stream if it is a request."""
        with self._news:
            stream = self._streams.get(number)
        if stream is None:
            exchange.send(404)
            return
        exchange.send(202, b"Accepted")
        with self._news:
            self._acknowledged.append(method)
            self._news.notify_all()
        message = exchange.message
        if "id" not in message or "method" not in message:
            return
        if message["params"].get("name") == "late":
            self._released.wait(DEADLINE)
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": result_of(message)}
        stream.put(event("message", json.dumps(reply)))


def result_of(message: dict[str, Any]) -> dict[str, Any]:
    """What a request is answered with: its own method, but for the first."""
    if message["method"] != "initialize":
        return {"method": message["method"]}
    return {
        "protocolVersion": "2024-11-05",
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "old", "version": "0"},
    }


def event(kind: str, data: str) -> bytes:
    """One event, as bytes."""
    return f"event: {kind}\r\ndata: {data}\r\n\r\n".encode()
