"""An HTTP server whose answers a test writes itself, for what no decent server would do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SESSION = "peer-session-0123456789"


class Exchange(BaseHTTPRequestHandler):
    """One request, and the means to answer it."""

    protocol_version = "HTTP/1.1"
    server: _Listener
    body: bytes
    message: Any
    also_send: dict[str, str]
    """Headers that every answer gets besides its own."""

    def handle_any(self) -> None:
        """Read the body, then let the test answer."""
        self.also_send = {}
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            self.message = json.loads(self.body)
        except (ValueError, RecursionError):
            self.message = None
        self.server.answer(self)

    do_POST = do_GET = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer with a status, a body and headers (`content_type="…"`)."""
        self.send_response(status)
        for name, value in (self.also_send | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, body: bytes | dict[str, Any], **headers: str) -> None:
        """Answer with a JSON message."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(200, data, content_type="application/json", **headers)

    def send_chunks(self, content_type: str, chunks: Iterable[bytes], *, last: bool = True) -> None:
        """Answer with a body of unknown length, piece by piece; it has an end if these are the last."""
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.send_chunk(chunk)
        if last:
            self.send_chunk(b"")

    def send_chunk(self, chunk: bytes) -> None:
        """Go on with a body that `send_chunks` began; nothing is its end."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def greet(self) -> bool:
        """Answer what opens and closes a session; False if this is something else."""
        method = self.message.get("method") if isinstance(self.message, dict) else None
        if self.command == "GET":
            self.send(405, allow="POST, DELETE")
        elif self.command == "DELETE":
            self.send(204)
        elif method == "initialize":
            result = {
                "protocolVersion": self.message["params"]["protocolVersion"],
                "capabilities": {},
                "serverInfo": {"name": "peer", "version": "0"},
            }
            reply = {"jsonrpc": "2.0", "id": self.message["id"], "result": result}
            self.send_json(reply, Mcp_Session_Id=SESSION)
        elif method == "notifications/initialized":
            self.send(202)
        else:
            return False
        return True


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    answer: Callable[[Exchange], object]

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is what many tests are about."""


class Peer:
    """The server. `answer` is called for each request, in a thread of its connection.

    with Peer(lambda exchange: exchange.greet() or exchange.send(500)) as peer: ...
    """

    def __init__(self, answer: Callable[[Exchange], object]) -> None:
        """Listen on a free loopback port."""
        self._listener = _Listener(("127.0.0.1", 0), Exchange)
        self._listener.answer = answer
        self.port = int(self._listener.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
