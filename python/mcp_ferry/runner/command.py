"""From a session's opening to its end: what `mcp-ferry list` and `mcp-ferry call` do with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcp_ferry import cli
from mcp_ferry._ferry import log_flush
from mcp_ferry.client import connect
from mcp_ferry.exceptions import OWN_WORDS, FerryError, ServerError, TransportError
from mcp_ferry.logs import say
from mcp_ferry.runner import output, person
from mcp_ferry.runner.options import KINDS, Calling, Listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_ferry.client import Connecting
    from mcp_ferry.runner.options import Target
    from mcp_ferry.session import Handler, Session

FINE, FAILED = 0, 1

METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
REMEDIES = {
    METHOD_NOT_FOUND: "it does not offer this; mcp-ferry list --what all shows what it does",
    INVALID_PARAMS: "mcp-ferry list shows its tools and their arguments",
}
OTHER_REMEDY = "the server's own log may say more"

MEMBERS = {"templates": "resourceTemplates"}
"""What a list is called in JSON, where that is not its kind."""


def run(asked: Listing | Calling) -> int:
    """Do it; the exit status. Raises `FerryError` and `UsageError`, of one line."""
    cli.start_log(asked.target.found)
    try:
        return asyncio.run(until_signal(asked))
    finally:
        log_flush(cli.FLUSH_MS)


async def until_signal(asked: Listing | Calling) -> int:
    """Do it, unless a signal comes first: then the server is told, and the status tells the signal."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    loop.set_exception_handler(lambda _, context: say(f"mcp-ferry: {context['message']}"))
    try:
        with told():
            return await (show_list(asked) if isinstance(asked, Listing) else call(asked))
    except asyncio.CancelledError:
        if not caught:
            raise
        return 128 + caught[0]


@contextmanager
def told() -> Iterator[None]:
    """Turn what a request can meet into one line for a person."""
    try:
        yield
    except TransportError as error:
        raise FerryError(error.message.removeprefix(OWN_WORDS)) from None
    except ServerError as error:
        remedy = REMEDIES.get(error.code, OTHER_REMEDY)
        raise FerryError(f"the server says: {error.message} ({error.code}); {remedy}") from None


def connected(target: Target, elicitation: Handler | None = None) -> Connecting:
    """A session with the server, still to be opened."""
    return connect(target.url, era=target.era, elicitation=elicitation, **target.values)


# list


async def show_list(asked: Listing) -> int:
    """Show what the server offers."""
    async with connected(asked.target) as session:
        if asked.what == "all":
            found = {kind: items for kind in KINDS if (items := await offered(session, kind)) is not None}
        else:
            found = {asked.what: await listed(session, asked.what)}
    if asked.json:
        named = {MEMBERS.get(kind, kind): items for kind, items in found.items()}
        output.put(output.json_of(named if asked.what == "all" else found[asked.what]))
        return FINE
    for kind, items in found.items():
        if not items:
            say(f"mcp-ferry: the server lists no {kind}")
    width = output.width_of_stdout()
    tables = {kind: output.listing(kind, items, width) for kind, items in found.items() if items}
    if asked.what == "all":
        tables = {kind: f"{kind.capitalize()}\n{text}" for kind, text in tables.items()}
    output.put("\n".join(tables.values()))
    return FINE


async def listed(session: Session, kind: str) -> list[dict[str, Any]]:
    """All of a kind that the server lists."""
    lists = {
        "tools": session.list_tools,
        "resources": session.list_resources,
        "templates": session.list_resource_templates,
        "prompts": session.list_prompts,
    }
    return await lists[kind]()


async def offered(session: Session, kind: str) -> list[dict[str, Any]] | None:
    """The same, or None if the server says, beforehand or now, that it has no such thing."""
    if kind != "tools" and {"templates": "resources"}.get(kind, kind) not in session.capabilities:
        return None
    try:
        return await listed(session, kind)
    except ServerError as error:
        if error.code != METHOD_NOT_FOUND:
            raise
        return None


# call


async def call(asked: Calling) -> int:
    """Call the tool and show its result."""
    answers = person.Person().answer if person.is_there() else person.decline
    wants_progress = asked.progress or os.isatty(person.STDERR)
    async with connected(asked.target, answers) as session:
        arguments = asked.arguments.typed(await schema_of(session, asked))
        result = await session.call_tool(
            asked.tool, arguments, progress=person.show_progress if wants_progress else None
        )
    if asked.json:
        output.put(output.json_of(result))
    else:
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        output.put(output.result_of(result, for_terminal=is_terminal))
    if result.get("isError"):
        say(f"mcp-ferry: the tool {asked.tool} failed, and says why in its result")
        return FAILED
    return FINE


async def schema_of(session: Session, asked: Calling) -> Any:
    """What the tool takes, if that has to be known: text alone does not tell a number from a text.

    A tool that is not listed may be there all the same; its arguments are texts then.
    """
    if not asked.arguments.texts:
        return {}
    for tool in await session.list_tools():
        if isinstance(tool, dict) and tool.get("name") == asked.tool:
            return tool.get("inputSchema")
    return {}
