"""`mcp-ferry demo`: two messages cross, seen from both shores.

A strict server on a free loopback port, a real bridge process, and both lines of the conversation written at
once: the second arrives before the session that it needs exists. What is shown is what really went over.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading

from mcp_ferry._ferry import Server
from mcp_ferry.cli import Parser, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

CONVERSATION = (
    (
        '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-03-26", '
        '"capabilities": {}, "clientInfo": {"name": "test", "version": "1.0.0"}}}'
    ),
    '{"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}',
)
PATIENCE = 60.0
"""Seconds until a bridge that does not end has failed."""
COLUMN = 58
BOLD, DIM, GREEN, RED, CYAN = "1", "2", "32", "31", "36"


def main(argv: Sequence[str]) -> int:
    """Run the demo; the exit status says whether both answers were right."""
    parser = Parser(prog="mcp-ferry demo", description="Show a crossing, on both sides.", allow_abbrev=False)
    parser.add_argument("--serve", action="store_true", help="keep the server up and print client settings")
    parser.add_argument("--port", type=int, default=0, help="the loopback port (default: any free one)")
    options = parser.parse_args(argv)
    return serve(options.port) if options.serve else cross(options.port)


def listen(port: int, observe: Callable[[dict[str, Any]], object] | None = None) -> Server:
    """Start the server, or say that the port will not do."""
    try:
        return Server(port=port, observe=observe)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{error}; choose another port with --port, or none") from None


def cross(port: int) -> int:
    """Carry the conversation over and show it."""
    exchanges: list[Mapping[str, Any]] = []
    with listen(port, exchanges.append) as server:
        print(paint(BOLD, "Two lines, written to stdin at once, for a server that demands a session"))
        print(f"  $ mcp-ferry {server.url}\n")
        bridge = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "mcp_ferry", server.url],
            input="".join(line + "\n" for line in CONVERSATION),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    replies = [json.loads(line) for line in bridge.stdout.splitlines()]
    for line in picture(replies, exchanges):
        print(line)
    troubles = list(faults(replies, exchanges))
    if bridge.returncode:
        troubles.append(f"the bridge ended with {bridge.returncode}: {bridge.stderr.strip()}")
    print()
    for trouble in troubles:
        print(paint(RED, f"  {trouble}"))
    if not troubles:
        print(paint(GREEN, "  Both requests were answered, within one session that was opened and closed."))
    return 1 if troubles else 0


def picture(replies: Sequence[Any], exchanges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The crossing in two columns: what went over stdio, and under it what went over HTTP for it."""
    yield paint(DIM, f"  {'stdio (the client)':{COLUMN}}HTTP (the server)")
    for line in CONVERSATION:
        message = json.loads(line)
        yield stdio(">", line)
        for exchange in exchanges:
            if f'"{message["method"]}"'.encode() in exchange["body"]:
                yield from http(exchange)
        for reply in replies:
            if reply.get("id") == message["id"]:
                yield stdio("<", json.dumps(reply))
    yield paint(CYAN, "  > ") + "(end of input)"
    for exchange in exchanges:
        if exchange["method"] != "POST":
            yield from http(exchange)


def stdio(arrow: str, line: str) -> str:
    """A message in the left column, cut to fit."""
    shown = line if len(line) < COLUMN - 4 else line[: COLUMN - 7] + "..."
    return paint(CYAN, f"  {arrow} ") + shown


def http(exchange: Mapping[str, Any]) -> Iterator[str]:
    """A request and its answer in the right column."""
    margin = " " * (COLUMN + 2)
    headers = dict(exchange["headers"])
    yield f"{margin}{paint(CYAN, '>')} {exchange['method']} {exchange['path']}"
    yield f"{margin}    Mcp-Session-Id: {shorten(headers.get('mcp-session-id'))}"
    yield f"{margin}    MCP-Protocol-Version: {headers.get('mcp-protocol-version', '-')}"
    given = exchange["issued_session"]
    note = f"   Mcp-Session-Id: {shorten(given)}" if given else ""
    yield f"{margin}{paint(CYAN, '<')} {exchange['status']}{note}"


def faults(replies: Sequence[Any], exchanges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with the crossing, in words."""
    answered = {reply.get("id"): reply for reply in replies}
    if "serverInfo" not in answered.get(1, {}).get("result", {}):
        yield f"initialize (id 1) was not answered as it should be: {answered.get(1)}"
    if not answered.get(2, {}).get("result", {}).get("tools"):
        yield f"tools/list (id 2) was not answered as it should be: {answered.get(2)}"
    if len(replies) != len(CONVERSATION):
        yield f"{len(CONVERSATION)} requests got {len(replies)} answers"
    if not any(exchange["method"] == "DELETE" for exchange in exchanges):
        yield "the session was left open: no DELETE"


def shorten(session: str | None) -> str:
    """The first characters of a session id, which is a secret, or a dash."""
    return f"{session[:6]}..." if session else "-"


def serve(port: int) -> int:
    """Keep the server up until interrupted, and say how to connect clients to it."""
    with listen(port) as server:
        command = {"command": sys.executable, "args": ["-m", "mcp_ferry", server.url]}
        print(f"A strict MCP server listens at {paint(BOLD, server.url)} (tools: echo, add, slow, ask).\n")
        print(paint(BOLD, "Claude Desktop (claude_desktop_config.json), Cursor (.cursor/mcp.json):"))
        print(json.dumps({"mcpServers": {"ferry-demo": command}}, indent=2))
        print(paint(BOLD, "\nVS Code (.vscode/mcp.json):"))
        print(json.dumps({"servers": {"ferry-demo": {"type": "stdio", **command}}}, indent=2))
        print("\nCtrl-C ends it.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()
    return 0


def paint(colour: str, text: str) -> str:
    """The text in colour, where a terminal shows it."""
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() else text
