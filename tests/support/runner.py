"""Runs of `mcp-ferry list` and `mcp-ferry call`, and a server for them whose results a test writes itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from tests.support.peer import SESSION, Exchange

NOWHERE = "http://127.0.0.1:9/mcp"


def one_line(ended: subprocess.CompletedProcess[str], status: int) -> str:
    """What a run said that went wrong, which has to be one line."""
    assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
    [line] = ended.stderr.splitlines()
    assert line.startswith("mcp-ferry: ")
    return line


def answering(
    results: dict[str, Any], seen: list[Any] | None = None, **capabilities: dict[str, Any]
) -> Callable[[Exchange], None]:
    """A legacy server with these results, or errors where they are numbers, by method."""

    def answer(exchange: Exchange) -> None:
        message = exchange.message
        if seen is not None:
            seen.append(message)
        method = message.get("method") if message else None
        if method == "server/discover":
            exchange.send(400)
        elif method == "initialize" and capabilities:
            version = message["params"]["protocolVersion"]
            result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": {}}
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
            exchange.send_json(reply, Mcp_Session_Id=SESSION)
        elif not exchange.greet():
            found = results.get(str(method), -32601)
            body = (
                {"error": {"code": found, "message": "no"}} if isinstance(found, int) else {"result": found}
            )
            exchange.send_json({"jsonrpc": "2.0", "id": message["id"]} | body)

    return answer
