"""Carries MCP between a stdio client and a Streamable HTTP server.

Names are resolved on first use, so that the command line pays for nothing that it does not need.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcp_ferry._ferry import Config, Server, __version__, run
    from mcp_ferry.exceptions import ConfigError, FerryError

__all__ = ["Config", "ConfigError", "FerryError", "Server", "__version__", "run"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mcp_ferry' has no attribute {name!r}")
    from mcp_ferry import _ferry, exceptions

    value: object = getattr(exceptions if name.endswith("Error") else _ferry, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
