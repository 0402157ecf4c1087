"""The native module: the bridge, its settings, its log, and a strict server to test against."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, final

__all__ = ["Config", "Server", "Sessions", "__version__", "log_flush", "log_to", "run"]

__version__: Final[str]

@final
class Config:
    """Checked settings of a ferry. `None` stands for the default.

    Raises `mcp_ferry.exceptions.ConfigError` for a value that cannot be used. The representation
    shows no secret.
    """

    def __new__(
        cls,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = ...,
        auth: str | None = None,
        token_file: str | PathLike[str] | None = None,
        token_command: str | None = None,
        transport: str | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        concurrency: int | None = None,
        max_message_size: int | None = None,
        ca_cert: str | PathLike[str] | None = None,
        client_cert: str | PathLike[str] | None = None,
        client_key: str | PathLike[str] | None = None,
        insecure: bool | None = None,
        proxy: str | None = None,
    ) -> Self: ...
    def with_headers(
        self, headers: Sequence[tuple[str, str]], auth: str | None = None, *, listens: bool = True
    ) -> Config:
        """The same for somebody else's session; sessions of both share their connections.

        The headers, and `auth` as the value of `Authorization`, stand in place of its own of those names.
        `listens` tells whether what the server says unasked is wanted from the start.
        """

    @staticmethod
    def defaults() -> dict[str, Any]:
        """The value that each setting has when it is not given, by name."""

    @property
    def url(self) -> str:
        """The endpoint."""

    @property
    def token_file(self) -> Path | None:
        """The file with the token."""

    @property
    def transport(self) -> Literal["auto", "http", "sse"]:
        """Which transport the server speaks."""

    @property
    def timeout(self) -> float:
        """Seconds a server may be silent about a request."""

    @property
    def connect_timeout(self) -> float:
        """Seconds a connection may take."""

    @property
    def concurrency(self) -> int:
        """Requests in flight at once."""

    @property
    def max_message_size(self) -> int:
        """Bytes of the largest message."""

    @property
    def ca_cert(self) -> Path | None:
        """The file with further authorities to trust."""

    @property
    def client_cert(self) -> Path | None:
        """The file with the client's certificate."""

    @property
    def client_key(self) -> Path | None:
        """The file with the client's key."""

    @property
    def insecure(self) -> bool:
        """Whether any certificate is accepted."""

@final
class Server:
    """A strict MCP server on a port of this machine, in a thread of its own.

    It listens as soon as it exists; with `events`, requests are answered by event streams. `observe`
    is called from another thread with a dict for each HTTP exchange: `method`, `path`, `headers`
    (pairs of lower-case name and value), `body` (its first 2 KiB, as bytes), `status` and
    `issued_session`. It holds the session id in full. Raises OSError for an address that cannot be used.
    """

    def __new__(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        events: bool = False,
        observe: Callable[[dict[str, Any]], object] | None = None,
    ) -> Self: ...
    @property
    def url(self) -> str:
        """The address of the endpoint."""

    def close(self) -> None:
        """Stop listening, close all connections and return when all that happened was observed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Sessions:
    """Sessions that share one thread and its connections.

    Every method may be called from any thread, and none of them waits but `stop`. What is ordered is carried
    out at the next `flush`.
    """

    def __new__(cls) -> Self: ...
    def open(self, config: Config) -> int:
        """The number of a new session."""

    def send(
        self,
        session: int,
        message: bytes,
        headers: Sequence[tuple[str, str]] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send one JSON-RPC message, with headers and seconds of patience of its own if given.

        Raises `mcp_ferry.exceptions.ConfigError` for one that cannot be used. To a session that has ended
        nothing is sent.
        """

    def listen(self, session: int) -> None:
        """From now on the session hears what the server says unasked."""

    def end(self, session: int, *, at_once: bool = False) -> None:
        """End a session: after all that is owed has come, or at once."""

    def flush(self) -> None:
        """Have everything said so far carried out."""

    def fileno(self) -> int:
        """The descriptor that is readable as long as `take` has something."""

    def take(self, most: int) -> list[tuple[int, int | None, bytes | str]]:
        """What has come, until its messages have `most` bytes or more; small ones count as 4 KiB.

        Triples of the session, the number of the request that is answered if one is, and the message; where
        the session has ended, a string that says why in place of a message.
        """

    def stop(self) -> None:
        """End all sessions at once and return when that is done, two seconds later at most."""

def run(config: Config) -> Literal["client-closed", "client-gone", "shutdown"]:
    """Carry messages between stdin, stdout and the endpoint until one of them ends or a signal comes.

    Returns why it ended. The interpreter is free for other threads meanwhile. Raises
    `mcp_ferry.exceptions.FerryError` if it cannot run at all; a server that fails is no such error,
    the client gets that as a reply.
    """

def log_to(
    callback: Callable[[int, str, str, dict[str, str]], object], level: int, *, unless_set: bool = False
) -> None:
    """Send log records to `callback(level, logger, message, fields)`, with Python's level numbers.

    It is called from a thread of its own. Records below `level` cost nothing, and records that come
    faster than the callback takes them are dropped and counted. A second call replaces the first, or
    does nothing with `unless_set`.
    """

def log_flush(timeout_ms: int) -> bool:
    """Wait until all records have been delivered, but no longer than so many milliseconds.

    Returns whether all were.
    """
