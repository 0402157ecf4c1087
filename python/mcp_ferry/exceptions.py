"""What can go wrong, as exceptions. The native module raises these too."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


OWN_CODES = (-32700, -32600, *range(-31099, -31000))
OWN_WORDS = "mcp-ferry: "
"""The codes of the errors that the ferry gives itself, and how they begin; docs/errors.md lists them."""


class FerryError(Exception):
    """The base of every error of this package."""


class ConfigError(FerryError, ValueError):
    """A setting has a value that cannot be used.

    `name` is the setting as the table in `mcp_ferry.settings` calls it, `message` is one line for a
    person that says what to do. Neither ever holds a secret.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        # What is pickled by default are the arguments of `Exception`, which are not these.
        return type(self), (self.name, self.message)


class RequestError(FerryError):
    """A request has an error for an answer.

    `code` is the JSON-RPC error code, `message` and `data` are what came with it.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        # What is pickled by default are the arguments of `Exception`, which are not these.
        return type(self), (self.code, self.message, self.data)


class ServerError(RequestError):
    """The server answered the request with an error of its own."""


class TransportError(RequestError):
    """The ferry answered the request with an error, because no answer of the server's could be had.

    `kind` names what happened, as docs/errors.md lists it: "unreachable", "cut", "http-status" and so on.
    `maybe_processed` tells whether the server may have begun to act on the request; if not, it is safe to
    send it again. `http_status` is the last status that the server gave, `None` if it gave none.
    """

    def __init__(self, code: int, message: str, data: dict[str, Any]) -> None:
        super().__init__(code, message, data)
        self.kind: str = data["kind"]
        self.maybe_processed: bool = bool(data.get("maybeProcessed"))
        self.http_status: int | None = data.get("httpStatus")


class RequestTimeout(TransportError, TimeoutError):  # noqa: N818 - as TimeoutError, whose kind it is
    """The server was silent about the request for longer than its timeout."""


class SessionClosed(FerryError):  # noqa: N818 - a state, told as an error
    """The session, or its event loop, has ended: nothing more can be sent, and nothing more will come."""


class FellBehind(FerryError):  # noqa: N818 - likewise
    """More notifications came than an iterator over them was read; those that came after are lost to it."""


def request_error(error: object) -> RequestError:
    """The exception for the `error` of a reply, by whose it is: the server's, or the ferry's own."""
    told: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    code, message, data = told.get("code", 0), str(told.get("message", "")), told.get("data")
    is_own = code in OWN_CODES and message.startswith(OWN_WORDS)
    # A server might say "kind" as well; all of this together is the ferry's.
    if not is_own or not isinstance(data, dict) or not {"kind", "maybeProcessed"} <= data.keys():
        return ServerError(code, message, data)
    return (RequestTimeout if data["kind"] == "timeout" else TransportError)(code, message, data)
