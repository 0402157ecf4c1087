"""Calls in process: a session of `mcp_ferry.connect`, on the event loop of the load itself.

It shows what the API costs where there is no pipe and no second process. The load and the ferry then share a
processor's time, and the API gives each call one reply or none, so nothing can be seen of doubled ones.
"""

from __future__ import annotations

import asyncio

import mcp_ferry
from mcp_ferry.bench.carrier import (
    CLIENT,
    LOST,
    CarrierEndedError,
    Failure,
    Strays,
    judge_failure,
    judge_result,
)
from mcp_ferry.exceptions import OWN_WORDS, FerryError, RequestError, SessionClosed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mcp_ferry.bench.plan import Call


class ProcessCarrier:
    """One session in this process; sessions to the same endpoint share their connections."""

    complaints: Sequence[str] = ()

    def __init__(self, url: str, values: Mapping[str, Any], patience: float) -> None:
        self._url = url
        self._values = values
        self._patience = patience
        self._session: mcp_ferry.Session | None = None
        self.modern = False
        self.strays = Strays()

    async def open(self) -> None:
        """Open the session."""
        try:
            self._session = await mcp_ferry.connect(self._url, client_info=CLIENT, **self._values)
        except RequestError as error:
            raise FerryError(error.message.removeprefix(OWN_WORDS)) from None
        self.modern = self._session.era == "modern"

    async def request(self, call: Call) -> Failure | None:
        """Send a call and judge its answer."""
        session = self._session
        if session is None or session.closed:
            raise CarrierEndedError("the session has ended")
        try:
            async with asyncio.timeout(self._patience):
                result = await session.request(call.method, call.params)
        except RequestError as error:  # before TimeoutError, which some of these are
            return judge_failure(error)
        except SessionClosed as error:
            return Failure(LOST, "session ended", str(error))
        except TimeoutError:
            return Failure(LOST, "no reply", f"nothing came within {self._patience:g} s")
        return judge_result(call.method, result)

    async def close(self, *, at_once: bool) -> None:  # noqa: ARG002 - the API leaves nothing that is owed behind
        """Close the session."""
        if self._session is not None:
            await self._session.aclose()
