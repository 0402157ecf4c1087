"""A session with one MCP server, for `async` code: requests, notifications, and what the server asks.

The rules are those of the bridge: the same machine opens the session, finds it again after the server's
restart, resumes streams, and decides what may be sent twice. Here are only Python's objects around it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson

from mcp_ferry.crossing import Crossing
from mcp_ferry.exceptions import RequestError, ServerError, SessionClosed, request_error
from mcp_ferry.methods import INVALID_RESULT, Methods
from mcp_ferry.notifications import Notifications
from mcp_ferry.opening import Opened, declared, opened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from mcp_ferry._ferry import Config
    from mcp_ferry.opening import Era

    Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]] | dict[str, Any]]
    """Answers what a server asks: takes the `params`, gives the `result`, at once or later."""
    Progress = Callable[[float, float | None, str | None], object]
    """Is told how far a request has come: `progress`, `total` and `message`, as the server gives them."""

MOST_ROUNDS = 32
"""How often one request may ask for more input (2026-07-28, basic/patterns/mrtr) before that counts as a
loop."""

LISTEN = "subscriptions/listen"

METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603


class Session(Methods, Crossing):
    """An open session. `mcp_ferry.connect` makes them.

    Everything but `close` and `aclose` belongs to the event loop that the session was opened on; those two
    may be called from anywhere, and more than once.
    """

    __slots__ = (
        "_asked",
        "_gate",
        "_handlers",
        "_iterators",
        "_last_id",
        "_opened",
        "_progress",
        "_waiting",
    )

    def __init__(
        self,
        config: Config,
        *,
        handlers: Mapping[str, Handler],
        gate: Gate | None = None,
    ) -> None:
        """Only for `mcp_ferry.connect` and `Fleet`: nothing is open yet."""
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._progress: dict[int, Progress] = {}
        self._iterators: list[Notifications] = []
        self._handlers = handlers
        self._asked: dict[Any, asyncio.Task[None]] = {}
        self._opened = Opened.unknown()
        self._gate = gate
        super().__init__(config)

    # -- what the server is ---------------------------------------------------------------------------------

    @property
    def era(self) -> Era:
        """Whether the server is "legacy" (2025-11-25 and before) or "modern" (2026-07-28 and later)."""
        return self._opened.era

    @property
    def protocol_version(self) -> str:
        """The revision of MCP that both speak."""
        return self._opened.version

    @property
    def server_info(self) -> dict[str, Any]:
        """What the server calls itself; empty if it does not tell."""
        return self._opened.server_info

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the server can do."""
        return self._opened.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used, in words for a model."""
        return self._opened.instructions

    # -- requests -------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Send a request and return its `result`, parsed; whole numbers beyond 64 bits become floats.

        `timeout` is how many seconds the server may be silent about it, `headers` go with it alone,
        `progress` is called with what the server tells on the way. Cancelling the task cancels the request at
        the server.

        Raises `ServerError` with what the server answered, `TransportError` if no answer could be had,
        `RequestTimeout` among them, and `SessionClosed`.
        """
        parameters = dict(params) if params else {}
        for _ in range(MOST_ROUNDS):
            message = await self._exchange(method, parameters, timeout, headers, progress)
            result = self._result(message)
            if not isinstance(result, dict) or result.get("resultType") != "input_required":
                return result
            parameters = await self._with_input(parameters, result)
        raise ServerError(INTERNAL_ERROR, f"{method} asked for input {MOST_ROUNDS} times")

    async def request_bytes(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """Send a request and return the whole reply as the server wrote it, unparsed.

        It is a JSON-RPC message with a `result` or an `error`; nothing is raised for the latter.
        """
        return await self._exchange(method, dict(params) if params else {}, timeout, headers, progress)

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification. It is never answered, and there is nothing to wait for."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        parameters = self._opened.with_meta(dict(params) if params else {})
        if parameters:
            message["params"] = parameters
        self.send(orjson.dumps(message))

    async def _exchange(  # noqa: PLR0913 - what `request` takes
        self,
        method: str,
        params: dict[str, Any],
        timeout: float | None,
        headers: Mapping[str, str] | None,
        progress: Progress | None,
        *,
        number: int | None = None,
    ) -> bytes:
        if asyncio.get_running_loop() is not self._shore.loop:
            raise SessionClosed("this session is another event loop's; connect on the one that uses it")
        number = self.next_id() if number is None else number
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method}
        parameters = self._opened.with_meta(params)
        if progress is not None:
            parameters = {**parameters, "_meta": {**parameters.get("_meta", {}), "progressToken": number}}
        if parameters:
            message["params"] = parameters
        frame = orjson.dumps(message)
        # What is open for as long as it is wanted takes nobody's place.
        gate = self._gate if method != LISTEN else None
        if gate is not None:
            await gate.enter(len(frame))
        if progress is not None:
            self._progress[number] = progress
        future: asyncio.Future[bytes] = self._shore.loop.create_future()
        self._waiting[number] = future
        try:
            self.send(frame, list(headers.items()) if headers else None, timeout)
            return await future
        finally:
            del self._waiting[number]
            self._progress.pop(number, None)
            if gate is not None:
                gate.leave(len(frame), future.result() if _has_answer(future) else None)
            if future.cancelled() and not self.closed and method != "initialize":
                # "notifications/cancelled" (every revision, basic/utilities/cancellation); towards a modern
                # server the ferry closes the stream instead.
                self.notify(
                    "notifications/cancelled", {"requestId": number, "reason": "cancelled by the caller"}
                )

    def _result(self, message: bytes) -> Any:
        """The result of a reply. Raises the error that it holds instead."""
        try:
            reply = _parsed(message)
        except (ValueError, RecursionError) as unreadable:
            raise ServerError(INVALID_RESULT, f"the reply cannot be read: {unreadable}") from unreadable
        error = reply.get("error")
        if error is None:
            return reply.get("result")
        failure = request_error(error)
        if self._gate is not None:
            self._gate.failed(self, failure)
        raise failure

    # -- what the server says by itself ---------------------------------------------------------------------

    def notifications(self, *, resources: Sequence[str] = ()) -> Notifications:
        """What the server tells from now on, as whole messages, progress aside; ends with the session.

        Opens the stream for what servers say unasked; a modern server is asked to tell when its lists change,
        and about these `resources`. With a legacy one, `subscribe` does the latter. Raises `FellBehind` in
        the reader if it leaves ten thousand of them unread, and what a modern server answers if it has no
        such stream.
        """
        iterator = Notifications(self, resources)
        self._iterators.append(iterator)
        if self.era == "legacy":
            self.listen()
        return iterator

    def next_id(self) -> int:
        """An id for a request. Only for `Notifications`, which must know it beforehand."""
        self._last_id += 1
        return self._last_id

    async def listen_modern(self, number: int, wanted: dict[str, Any]) -> None:
        """Have a modern server tell these kinds of things, until it ends that. Only for `Notifications`."""
        params = {"notifications": wanted}
        self._result(await self._exchange(LISTEN, params, None, None, None, number=number))

    def forget(self, iterator: Notifications) -> None:
        """Tell this reader no more. Only for `Notifications`."""
        if iterator in self._iterators:
            self._iterators.remove(iterator)

    def _arrived(self, reply_to: int | None, message: bytes) -> None:
        if reply_to is not None:
            future = self._waiting.get(reply_to)
            if future is not None and not future.done():
                future.set_result(message)
            return
        parsed = _parsed(message)
        if "id" in parsed:
            if "method" in parsed:
                self._asked[parsed["id"]] = asyncio.ensure_future(self._answer(parsed))
            return
        params = parsed.get("params") or {}
        if parsed.get("method") == "notifications/progress":
            self._report(params)
            return
        if parsed.get("method") == "notifications/cancelled":
            task = self._asked.pop(params.get("requestId"), None)
            if task is not None:
                task.cancel()
        if self._gate is not None:
            self._gate.told(self, parsed)
        for iterator in tuple(self._iterators):
            iterator.push(parsed)

    def _report(self, params: dict[str, Any]) -> None:
        progress = self._progress.get(params.get("progressToken", -1))
        if progress is not None:
            progress(params.get("progress", 0), params.get("total"), params.get("message"))

    # -- what the server asks -------------------------------------------------------------------------------

    async def _answer(self, question: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": question["id"]}
        try:
            reply["result"] = await self._handle(question)
        except RequestError as error:
            reply["error"] = {"code": error.code, "message": error.message}
        finally:
            self._asked.pop(question["id"], None)
        if not self.closed:
            self.send(orjson.dumps(reply))

    async def _handle(self, question: dict[str, Any]) -> dict[str, Any]:
        method = question.get("method", "")
        handler = self._handlers.get(method)
        if method == "ping":
            return {}
        if handler is None:
            raise ServerError(METHOD_NOT_FOUND, f"this client does not answer {method}")
        try:
            result = handler(question.get("params") or {})
            return await result if inspect.isawaitable(result) else result
        except RequestError:
            raise
        except Exception as error:
            self._shore.loop.call_exception_handler(
                {"message": f"the handler of {method} failed", "exception": error}
            )
            raise ServerError(INTERNAL_ERROR, f"the client could not answer {method}") from error

    async def _with_input(self, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """The parameters for the next round of a request that needs input."""
        asked: dict[str, dict[str, Any]] = result.get("inputRequests") or {}
        answers = await asyncio.gather(*map(self._handle, asked.values()))
        following = {name: value for name, value in params.items() if name != "requestState"}
        following["inputResponses"] = dict(zip(asked, answers, strict=True))
        if "requestState" in result:
            following["requestState"] = result["requestState"]
        return following

    # -- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Have the session end; what still waits for an answer gets an error. Returns at once."""
        if self._reason is None:
            self.end(at_once=bool(self._waiting))

    async def aclose(self) -> None:
        """Have the session end, and wait until the server has been told, or two seconds are over."""
        self.close()
        if not self._shore.is_closed:
            await self.wait_ended()

    def _ended(self, reason: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(SessionClosed(f"the session ended ({reason}) before the answer came"))
        for task in self._asked.values():
            task.cancel()
        for iterator in self._iterators:
            iterator.end()
        if self._gate is not None:
            self._gate.ended(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self, era: Era | None, client_info: Mapping[str, Any]) -> None:
        """Find out what the server is, and open the session. Only for `mcp_ferry.connect` and `Fleet`."""
        try:
            self._opened = await opened(self, era, client_info, declared(self._handlers))
        except asyncio.CancelledError:
            # Not waited for: whoever cancels wants to go on.
            self.close()
            raise
        except BaseException:
            await self.aclose()
            raise


class Gate(Protocol):
    """Where requests wait for their turn, and what counts them; `Fleet` is one."""

    async def enter(self, size: int) -> None:
        """Wait until a request of this many bytes may go."""

    def leave(self, size: int, answer: bytes | None) -> None:
        """It has its answer, or none is wanted any more."""

    def failed(self, session: Session, error: RequestError) -> None:
        """A request has an error for an answer."""

    def told(self, session: Session, message: dict[str, Any]) -> None:
        """The server told a session something unasked."""

    def ended(self, session: Session) -> None:
        """A session is over."""


def _parsed(message: bytes) -> dict[str, Any]:
    """A message. The fast parser refuses half a surrogate pair, which must not be lost for that."""
    try:
        parsed: dict[str, Any] = orjson.loads(message)
    except orjson.JSONDecodeError:
        parsed = json.loads(message)
    return parsed


def _has_answer(future: asyncio.Future[bytes]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
