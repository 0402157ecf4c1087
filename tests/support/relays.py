"""What stands between a ferry and a server in the world: TLS in front of it, a proxy on the way."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

PIECE = 65536
PATIENCE = 60.0


class Relay:
    """Accepts connections on a free loopback port and hands each to `serve` in a thread of its own."""

    def __init__(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def serve(self, client: socket.socket) -> None:
        """Deal with one connection."""
        raise NotImplementedError

    def keep(self, connection: socket.socket) -> socket.socket:
        """Remember a socket, to be closed at the end."""
        self._open.append(connection)
        return connection

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and close every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)
        for connection in self._open:
            shut(connection)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.keep(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            self.serve(client)
        except OSError:
            shut(client)


class TlsFront(Relay):
    """Takes TLS off and passes the rest on to a loopback port."""

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        """Serve with the certificate of `context`."""
        super().__init__()
        self._context = context
        self._target = target
        self.subjects: list[object] = []
        """The certificate that each client showed, or None, in order."""

    @property
    def url(self) -> str:
        """The endpoint, by the name that the certificate is for."""
        return f"https://localhost:{self.port}/mcp"

    def serve(self, client: socket.socket) -> None:
        """Shake hands, then carry bytes."""
        secured = self.keep(self._context.wrap_socket(client, server_side=True))
        assert isinstance(secured, ssl.SSLSocket)
        self.subjects.append(secured.getpeercert())
        couple(secured, self.keep(socket.create_connection(("127.0.0.1", self._target))))


class HttpProxy(Relay):
    """An HTTP proxy: tunnels CONNECT, forwards requests that name a whole URL."""

    def __init__(self) -> None:
        """Start with an empty memory."""
        super().__init__()
        self.heads: list[str] = []
        """The first request head of every connection, in order."""

    @property
    def address(self) -> str:
        """The proxy's own URL."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Read the first head; connect; carry bytes."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = client.recv(PIECE)
            if not piece:
                return
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        self.heads.append(head.decode())
        method, target, _ = head.decode().split("\r\n")[0].split(" ")
        authority = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = authority.rpartition(":")
        server = self.keep(socket.create_connection((host, int(port))))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(head.replace(f"http://{authority}".encode(), b"", 1) + b"\r\n\r\n")
        server.sendall(rest)
        couple(client, server)


def couple(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    back = threading.Thread(target=carry, args=(other, one.sendall, one), daemon=True)
    back.start()
    carry(one, other.sendall, other)
    back.join(PATIENCE)


def carry(source: socket.socket, send: Callable[[bytes], object], sink: socket.socket) -> None:
    """Carry bytes one way; the end of one is the end of the other."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            send(piece)
    shut(sink)


def shut(connection: socket.socket) -> None:
    """End a connection both ways, whatever state it is in."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
