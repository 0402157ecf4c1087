"""Calls through a real ferry: `mcp-ferry URL` as a child process, spoken to over stdio as a client does."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson

from mcp_ferry.bench.carrier import (
    CLIENT,
    FERRY,
    LOST,
    MODERN_REVISION,
    REVISION,
    CarrierEndedError,
    Failure,
    Strays,
    judge_error,
    judge_result,
)
from mcp_ferry.bench.child import Child
from mcp_ferry.bench.plan import Call
from mcp_ferry.exceptions import OWN_WORDS, FerryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND = (sys.executable, "-P", "-m", "mcp_ferry")
"""As installed: -P keeps modules of the working directory out."""
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN_REVISION,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
DISCOVER = Call("server/discover", "server/discover", {})


class FerryCarrier:
    """One ferry process and the session in it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        patience: float,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._command = command
        self._environment = environment
        self._patience = patience
        self._child: Child | None = None
        self._ended = False
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        """Who waits for which reply; None is what comes to those whose ferry ended."""
        self._given_up: set[int] = set()
        """Calls that nobody waits for any more; their replies are no strays."""
        self._bodies: dict[Call, bytes] = {}
        self.modern = False
        self.strays = Strays()

    async def open(self) -> None:
        """Start the ferry and open a session, or find that the server knows none."""
        try:
            self._child = Child(self._command, self._environment, self._take, self._note_end)
        except OSError as error:
            raise FerryError(f"cannot start {self._command[0]}: {error.strerror}") from None
        params = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": CLIENT}
        try:
            reply = await self._ask("initialize", orjson.dumps(params))
        except TimeoutError:
            raise FerryError(f"no session within {self._patience:g} s") from None
        if reply is None:
            raise self._farewell()
        if "error" not in reply:
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            return
        failure = judge_error(reply["error"])
        if failure.source != FERRY:
            self.modern = True
            self.modern = await self.request(DISCOVER) is None
        if not self.modern:
            raise FerryError(failure.message.removeprefix(OWN_WORDS))

    async def request(self, call: Call) -> Failure | None:
        """Send a call and judge its answer."""
        body = self._bodies.get(call) or self._encode(call)
        try:
            reply = await self._ask(call.method, body)
        except TimeoutError:
            return Failure(LOST, "no reply", f"nothing came within {self._patience:g} s")
        if reply is None:
            return Failure(LOST, "ferry ended", str(self._farewell()))
        if "error" in reply:
            return judge_error(reply["error"])
        return judge_result(call.method, reply.get("result"))

    async def close(self, *, at_once: bool) -> None:
        """End the ferry: by the end of its input, or by a signal."""
        if self._child is not None:
            await self._child.end(at_once=at_once)

    @property
    def complaints(self) -> Sequence[str]:
        """The last lines that the ferry wrote to stderr."""
        return list(self._child.complaints) if self._child is not None else []

    def _encode(self, call: Call) -> bytes:
        params = dict(call.params)
        if self.modern:
            params["_meta"] = MODERN_META | params.get("_meta", {})
        body = self._bodies[call] = orjson.dumps(params)
        return body

    async def _ask(self, method: str, params: bytes) -> Any:
        """The reply to a request, or None if the ferry ended over it.

        Raises `CarrierEndedError` if it had ended before, TimeoutError if nothing came.
        """
        if self._ended or self._child is None:
            raise self._farewell()
        identifier, self._next = self._next, self._next + 1
        waiter = self._waiting[identifier] = asyncio.get_running_loop().create_future()
        head = f'{{"jsonrpc":"2.0","id":{identifier},"method":{orjson.dumps(method).decode()},"params":'
        self._child.write(b"%b%b}\n" % (head.encode(), params))
        try:
            async with asyncio.timeout(self._patience):
                return await waiter
        finally:
            if self._waiting.pop(identifier, None) is not None:
                self._given_up.add(identifier)

    def _take(self, line: bytes) -> None:
        """One line from the ferry."""
        try:
            message = orjson.loads(line)
            identifier = message.get("id")
        except (ValueError, AttributeError):
            self.strays.unknown += 1
            return
        if "method" in message:
            if identifier is not None:
                self._answer(identifier, message["method"])
        elif type(identifier) is int and (waiter := self._waiting.pop(identifier, None)) is not None:
            if not waiter.done():
                waiter.set_result(message)
        elif type(identifier) is int and 0 <= identifier < self._next:
            if identifier in self._given_up:
                self._given_up.remove(identifier)
            else:
                self.strays.doubled += 1
        else:
            self.strays.unknown += 1

    def _answer(self, identifier: object, method: str) -> None:
        """Answer the server: it may ask whether we are there; all else was not offered to it."""
        reply: dict[str, object] = {"jsonrpc": "2.0", "id": identifier}
        if method == "ping":
            reply["result"] = {}
        else:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        self._send(reply)

    def _send(self, message: object) -> None:
        if self._child is not None:
            self._child.write(orjson.dumps(message) + b"\n")

    def _note_end(self) -> None:
        """Nothing more comes: what is still waited for is lost."""
        self._ended = True
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_result(None)

    def _farewell(self) -> CarrierEndedError:
        last = f": {self.complaints[-1]}" if self.complaints else ""
        return CarrierEndedError(f"the ferry ended before its time{last}")
