"""The client that the suite tests: an official SDK, talking over stdio to the bridge.

    python client.py URL

The suite appends the URL and names the scenario in `MCP_CONFORMANCE_SCENARIO`; the bridge's command is in
`FERRY_COMMAND`. With the Python SDK 1.x it opens a legacy session, with 2.x a modern connection; which of
them it runs with is the caller's choice of an interpreter.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import mcp
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from pydantic import ValidationError

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
IS_MODERN = hasattr(mcp, "Client")
ADDENDS = {"a": 5, "b": 3}


class Tools(types.Result):
    """A list of tools as it came, for the SDK leaves those with invalid annotations out itself."""

    tools: list[dict[str, Any]]


class Skills(types.Result):
    """What the skills extension lists, which the SDK does not know."""

    skills: list[dict[str, Any]]


async def sample(_: Any, __: Any) -> types.CreateMessageResult:
    """Declares the capability; nothing asks for it."""
    return types.CreateMessageResult(
        role="assistant", content=types.TextContent(type="text", text="fair"), model="none"
    )


async def roots(_: Any) -> types.ListRootsResult:
    """Declares the capability; nothing asks for it."""
    return types.ListRootsResult(roots=[])


async def answer(_: Any, params: Any) -> types.ElicitResult:
    """Accept, with the defaults of the form; a confirmation is given."""
    fields = fields_of(params).get("properties", {})
    given = {name: field["default"] for name, field in fields.items() if "default" in field}
    return types.ElicitResult(action="accept", content=given or {"confirmed": True})


def fields_of(params: Any) -> dict[str, Any]:
    """The form that an elicitation asks to be filled in."""
    return params.model_dump(by_alias=True)["requestedSchema"]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """An SDK's client with the bridge as its server."""
    command, *words = json.loads(os.environ["FERRY_COMMAND"])
    launch = StdioServerParameters(command=command, args=[*words, url], env=dict(os.environ))
    callbacks = {
        "elicitation_callback": answer,
        "sampling_callback": sample,
        "list_roots_callback": roots,
    }
    if IS_MODERN:
        async with mcp.Client(launch, **callbacks) as client:
            yield client
    else:
        async with (
            stdio_client(launch) as (read, write),
            ClientSession(read, write, **callbacks) as session,
        ):
            await session.initialize()
            yield session


async def list_only(client: Any) -> None:
    """Look at the tools, touch none."""
    await client.list_tools()


async def add(client: Any) -> None:
    """Call the one tool that there is."""
    await client.list_tools()
    await client.call_tool("add_numbers", ADDENDS)


async def reconnect(client: Any) -> None:
    """Call the tool whose stream the server cuts."""
    await client.list_tools()
    await client.call_tool("test_reconnection", {})


async def elicit(client: Any) -> None:
    """Call the tool that asks back."""
    await client.list_tools()
    await client.call_tool("test_client_elicitation_defaults", {})


async def use_everything(client: Any) -> None:
    """One request of each kind that bears a name."""
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {})
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def replay(client: Any) -> None:
    """Make the calls that the suite wants to see, null arguments and all."""
    await client.list_tools()
    for call in json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def call_all(client: Any) -> None:
    """Call each tool that the bridge offers: those with invalid annotations must not be among them."""
    listed = await client.session.send_request(types.ListToolsRequest(), Tools)
    for tool in listed.tools:
        await client.call_tool(tool["name"], {"region": "west"})


async def confirm(client: Any) -> None:
    """Go through the rounds of input, with another call between."""
    await client.list_tools()
    for tool in ("echo_state", "unrelated", "no_state"):
        await client.call_tool(f"test_mrtr_{tool}", {})
    # The SDK takes a result without its type for a fault; all that the suite asks is that nobody retries.
    with contextlib.suppress(ValidationError):
        await client.call_tool("test_mrtr_no_result_type", {})


async def echo_schema(client: Any) -> None:
    """Give a schema back as it was listed."""
    listed = (await client.list_tools()).model_dump(by_alias=True, exclude_none=True)["tools"]
    schema = next(tool["inputSchema"] for tool in listed if tool["name"] == "json_schema_2020_12_tool")
    await client.call_tool("json_schema_echo", {"schema": schema})


async def skills(client: Any) -> list[dict[str, Any]]:
    """The skills that the server lists, of which no file has been read yet."""
    request = types.Request[types.RequestParams, Literal["skills/list"]](
        method="skills/list", params=types.RequestParams()
    )
    listed: Skills = await client.session.send_request(request, Skills)
    return listed.skills


async def list_skills(client: Any) -> None:
    """Look at the skills, load none."""
    await skills(client)


async def load_skills(client: Any) -> None:
    """Load each skill whose description proves true, file by file."""
    for skill in await skills(client):
        for file in skill["resources"]:
            text = (await client.read_resource(file["uri"])).contents[0].text
            if not is_true(text, file, skill):
                break


def is_true(text: str, file: dict[str, Any], skill: dict[str, Any]) -> bool:
    """Whether a file is what its entry says, its front matter included."""
    content = text.encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    is_head = file["uri"] == skill["uri"]
    lines = text.split("---")[1].strip().splitlines() if is_head else []
    front = dict(line.split(": ", 1) for line in lines)
    return (
        digest == file["digest"]
        and len(content) == file["size"]
        and (not is_head or front == skill["frontmatter"])
    )


DEEDS: dict[str, Callable[[Any], Awaitable[None]]] = {
    "initialize": list_only,
    "tools_call": add,
    "elicitation-sep1034-client-defaults": elicit,
    "sse-retry": reconnect,
    "json-schema-2020-12-preservation": echo_schema,
    "json-schema-ref-no-deref": list_only,
    "request-metadata": add,
    "http-standard-headers": use_everything,
    "http-custom-headers": replay,
    "http-invalid-tool-headers": call_all,
    "sep-2322-client-request-state": confirm,
    "sep-2640-client-no-prefetch": list_skills,
    "sep-2640-client-verify-digest": load_skills,
    "sep-2640-client-verify-size": load_skills,
    "sep-2640-client-verify-frontmatter": load_skills,
}


async def main(url: str) -> None:
    """Do what the scenario asks."""
    async with connected(url) as client:
        await DEEDS[SCENARIO](client)


anyio.run(main, sys.argv[1])
