"""fastmcp, measured: a kept `Client` for each session."""

from __future__ import annotations

from fastmcp import Client

from bench.clients.keeper import keeping
from bench.clients.measuring import main


def connect(url: str) -> Client:
    """One session, of the era that the server knows."""
    return Client(url, mode="legacy")


async def echo(session: Client, text: str) -> str:
    """Call it."""
    answer: str = (await session.call_tool("echo", {"text": text})).content[0].text
    return answer


if __name__ == "__main__":
    main(keeping(connect, echo))
