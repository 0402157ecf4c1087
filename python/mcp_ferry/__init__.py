"""Carries MCP between a stdio client and a Streamable HTTP server, and between such a server and async code.

Names are resolved on first use, so that the command line pays for nothing that it does not need.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcp_ferry._ferry import Config, Server, __version__, run
    from mcp_ferry.client import connect
    from mcp_ferry.exceptions import (
        ConfigError,
        FellBehind,
        FerryError,
        RequestError,
        RequestTimeout,
        ServerError,
        SessionClosed,
        TransportError,
    )
    from mcp_ferry.fleet import Fleet, Statistics
    from mcp_ferry.session import Session

_HOMES = {
    "_ferry": ("Config", "Server", "__version__", "run"),
    "client": ("connect",),
    "exceptions": (
        "ConfigError",
        "FellBehind",
        "FerryError",
        "RequestError",
        "RequestTimeout",
        "ServerError",
        "SessionClosed",
        "TransportError",
    ),
    "fleet": ("Fleet", "Statistics"),
    "session": ("Session",),
}
"""Each module and what of it is the package's."""

__all__ = [
    "Config",
    "ConfigError",
    "FellBehind",
    "FerryError",
    "Fleet",
    "RequestError",
    "RequestTimeout",
    "Server",
    "ServerError",
    "Session",
    "SessionClosed",
    "Statistics",
    "TransportError",
    "__version__",
    "connect",
    "run",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            # importlib would cost the command line a millisecond.
            module = __import__(f"mcp_ferry.{home}", fromlist=[name])
            value: object = getattr(module, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'mcp_ferry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
