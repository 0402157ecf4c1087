"""`mcp_ferry.connect`: one line from a URL to a session."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from mcp_ferry._ferry import Config, __version__
from mcp_ferry.opening import ASKED
from mcp_ferry.session import Session

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from os import PathLike
    from types import TracebackType
    from typing import Unpack

    from mcp_ferry.opening import Era
    from mcp_ferry.session import Handler

    Headers = Mapping[str, str] | Sequence[tuple[str, str]]

CLIENT_INFO = {"name": "mcp-ferry", "version": __version__}


class Settings(TypedDict, total=False):
    """What else can be set; docs/settings.md says what each of them does."""

    timeout: float | None
    token_file: str | PathLike[str] | None
    token_command: str | None
    transport: Literal["auto", "http", "sse"] | None
    connect_timeout: float | None
    concurrency: int | None
    max_message_size: int | None
    ca_cert: str | PathLike[str] | None
    client_cert: str | PathLike[str] | None
    client_key: str | PathLike[str] | None
    insecure: bool | None
    proxy: str | None


class Connecting:
    """A session that opens when this is awaited, or entered.

    `session = await connect(...)`, or `async with connect(...) as session`, which closes it as well.
    """

    def __init__(
        self, config: Config, era: Era | None, client_info: Mapping[str, Any], handlers: Mapping[str, Handler]
    ) -> None:
        """Only for `connect`."""
        self._config = config
        self._era = era
        self._client_info = client_info
        self._handlers = handlers
        self._session: Session | None = None

    async def _connect(self) -> Session:
        session = Session(self._config, handlers=self._handlers)
        await session.open(self._era, self._client_info)
        return session

    def __await__(self) -> Generator[Any, None, Session]:
        return self._connect().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._connect()
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.aclose()


def connect(  # noqa: PLR0913 - one for each thing a caller may want, all by name
    url: str,
    *,
    headers: Headers | None = None,
    auth: str | None = None,
    era: Literal["auto", "legacy", "modern"] = "auto",
    listen: bool | None = None,
    client_info: Mapping[str, Any] = CLIENT_INFO,
    sampling: Handler | None = None,
    elicitation: Handler | None = None,
    roots: Handler | None = None,
    **settings: Unpack[Settings],
) -> Connecting:
    """Open a session with the MCP server at `url`: await the result, or enter it with `async with`.

    `headers` go with every request; `auth` is the value of `Authorization`, like "Bearer TOKEN". `timeout` is
    how many seconds the server may be silent about a request (60). `era` says what the server is, if that is
    known: it saves a round trip to a legacy one. `sampling`, `elicitation` and `roots` answer what the server
    asks, each a function from `params` to `result`. With `listen`, the stream for what servers say unasked is
    open from the start; the default is to open it if there is anything to answer with, else when
    `Session.notifications` is called. `settings` are those of the bridge.

    Sessions of one event loop that differ in nothing but headers share their connections.

    Raises `ConfigError` at once, for a setting that cannot be used. Awaiting it raises what the server, or
    the transport, says to the first request.
    """
    handlers = handlers_of(sampling, elicitation, roots)
    config = configured(url, settings).with_headers(
        pairs(headers), auth, listens=bool(handlers) if listen is None else listen
    )
    return Connecting(config, None if era == "auto" else era, client_info, handlers)


def handlers_of(
    sampling: Handler | None, elicitation: Handler | None, roots: Handler | None
) -> dict[str, Handler]:
    """What a server may ask, and who answers."""
    given = {"sampling": sampling, "elicitation": elicitation, "roots": roots}
    found = {method: given[capability] for method, capability in ASKED.items()}
    return {method: handler for method, handler in found.items() if handler is not None}


def pairs(headers: Headers | None) -> list[tuple[str, str]]:
    """Headers as the native module takes them."""
    if headers is None:
        return []
    return list(headers.items() if hasattr(headers, "items") else headers)


def configured(url: str, settings: Settings) -> Config:
    """Checked settings, the same object for the same settings: whoever shares it shares connections."""
    if any(settings.get(name) for name in ("ca_cert", "client_cert", "client_key")):
        # The files may have changed since.
        return Config(url, **settings)
    return _known(url, tuple(sorted(settings.items())))


@lru_cache(maxsize=256)
def _known(url: str, settings: tuple[tuple[str, Any], ...]) -> Config:
    return Config(url, **dict(settings))
