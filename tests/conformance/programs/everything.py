"""The server behind the bridge: the Python SDK 2.x with all that the suite's server scenarios call for.

    python everything.py

Names of tools, prompts and resources, and the texts they give, are the suite's. One server speaks both eras.
It prints its URL once it listens.
"""

# ruff: noqa: T201 -- it says where it listens

import asyncio
import base64
import json
import socket
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    Completion,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SOUND = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVE").decode()
PAUSE = 0.02
"""Seconds between the events of one tool, so that they are events of their own."""

server = MCPServer(
    "conformance", version="1.0.0", request_state_security=RequestStateSecurity(keys=[b"tests only" * 4])
)


def text(words: str) -> TextContent:
    """A text as content."""
    return TextContent(type="text", text=words)


def picture() -> ImageContent:
    """An image as content."""
    return ImageContent(type="image", data=PICTURE, mime_type="image/png")


def embedded(uri: str, words: str, kind: str = "text/plain") -> EmbeddedResource:
    """A resource as content."""
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri=uri, mime_type=kind, text=words)
    )


# Tools that answer at once.


@server.tool()
def test_simple_text() -> str:
    """A text."""
    return "This is a simple text response for testing."


@server.tool()
def test_image_content() -> list[ImageContent]:
    """An image."""
    return [picture()]


@server.tool()
def test_audio_content() -> list[AudioContent]:
    """A sound."""
    return [AudioContent(type="audio", data=SOUND, mime_type="audio/wav")]


@server.tool()
def test_embedded_resource() -> list[EmbeddedResource]:
    """A resource within the result."""
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


@server.tool()
def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Several kinds of content in one result."""
    data = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return [text("Multiple content types test:"), picture(), data]


@server.tool()
def test_error_handling() -> str:
    """A failure."""
    raise RuntimeError("This tool intentionally returns an error for testing")


@server.tool()
def test_x_mcp_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "nowhere",  # noqa: PT028 -- no test, but a tool
) -> str:
    """A parameter that has to be repeated in a header."""
    return f"region={region}"


@server.tool()
def json_schema_2020_12_tool() -> str:
    """A tool whose schema, put in place below, has the keywords of 2020-12."""
    return "done"


# There is no public way to give a tool a schema that no Python signature has.
server._tool_manager._tools["json_schema_2020_12_tool"].parameters = {  # noqa: SLF001
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


# Tools that tell something while they run.


@server.tool()
async def test_tool_with_logging(ctx: Context) -> str:
    """Three log messages."""
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(message)
        await asyncio.sleep(PAUSE)
    return "logged"


@server.tool()
async def test_logging_tool(ctx: Context) -> str:
    """One log message, which a modern client gets only if it asked for a level."""
    await ctx.info("called")
    return "logged"


@server.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    """Three steps."""
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100, f"{step} of 100")
        await asyncio.sleep(PAUSE)
    return "done"


# Tools that ask a legacy client back.


class Reply(BaseModel):
    """One free text."""

    response: str


class Person(BaseModel):
    """Every primitive type, with a default."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field("active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


def titled(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """Choices with a title each."""
    return [{"const": value, "title": title} for value, title in pairs]


class Choices(BaseModel):
    """Every way to offer choices."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["red", "green", "blue"]})  # noqa: N815
    titledSingle: str = Field(json_schema_extra={"oneOf": titled(("n", "North"), ("s", "South"))})  # noqa: N815
    untitledMulti: list[str] = Field(json_schema_extra={"items": {"type": "string", "enum": ["a", "b"]}})  # noqa: N815
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": titled(("x", "X"), ("y", "Y"))}})  # noqa: N815
    legacyEnum: str = Field(json_schema_extra={"enum": ["s", "l"], "enumNames": ["Small", "Large"]})  # noqa: N815


@server.tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Ask the client's model."""
    asked = [SamplingMessage(role="user", content=text(prompt))]
    # Without the relation the question would go to the listener, and be lost while there is none.
    said = await ctx.session.create_message(messages=asked, max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {getattr(said.content, 'text', '')}"


async def elicited(ctx: Context, message: str, form: type[BaseModel]) -> str:
    """Put a form to the person at the other end; what came back."""
    reply = await ctx.elicit(message=message, schema=form)
    content = reply.data.model_dump_json() if reply.action == "accept" else "{}"
    return f"action={reply.action}, content={content}"


@server.tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    """A question."""
    return f"User response: {await elicited(ctx, message, Reply)}"


@server.tool()
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """A form with defaults."""
    return f"Elicitation completed: {await elicited(ctx, 'Who are you?', Person)}"


@server.tool()
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """A form with choices."""
    return f"Elicitation completed: {await elicited(ctx, 'What shall it be?', Choices)}"


# Tools that want more input from a modern client, which it brings with its next request.


def question(message: str, field: str, kind: str = "string") -> ElicitRequest:
    """A form with one field."""
    form = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=form))


NAME = question("What is your name?", "name")
CONFIRMATION = question("Is it so?", "ok", "boolean")
ROOTS = ListRootsRequest()


def prompted(words: str) -> CreateMessageRequest:
    """A question to the client's model."""
    messages = [SamplingMessage(role="user", content=text(words))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=messages, max_tokens=50))


def wanted(state: str | None = None, **requests: Any) -> InputRequiredResult:
    """A result that asks for input."""
    return InputRequiredResult(input_requests=requests, request_state=state)


def given(ctx: Context, name: str) -> Any:
    """One of the answers that the request brought, or nothing."""
    return (ctx.input_responses or {}).get(name)


def filled(answer: Any, field: str) -> str:
    """A field of an accepted form."""
    content = answer.content if isinstance(answer, ElicitResult) else None
    return str((content or {}).get(field, ""))


@server.tool()
async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
    """A form."""
    answer = given(ctx, "user_name")
    return f"Hello, {filled(answer, 'name')}!" if answer else wanted(user_name=NAME)


@server.tool()
async def test_streaming_elicitation(ctx: Context) -> str | InputRequiredResult:
    """The same by another name."""
    return await test_input_required_result_elicitation(ctx)


@server.tool()
async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
    """A question to the model."""
    answer = given(ctx, "capital_question")
    if isinstance(answer, CreateMessageResult):
        return f"Model: {getattr(answer.content, 'text', '')}"
    return wanted(capital_question=prompted("What is the capital of France?"))


@server.tool()
async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
    """The client's roots."""
    answer = given(ctx, "client_roots")
    return f"{len(answer.roots)} roots" if answer else wanted(client_roots=ROOTS)


@server.tool()
async def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
    """A state that the client has to bring back."""
    if given(ctx, "confirm") and ctx.request_state == "asked":
        return "state-ok"
    return wanted("asked", confirm=CONFIRMATION)


@server.tool()
async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
    """The same; that a state was tampered with is seen before the tool is called."""
    return "state-ok" if ctx.request_state else wanted("asked", confirm=CONFIRMATION)


@server.tool()
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
    """Three kinds of input at once."""
    requests = {"user_name": NAME, "greeting": prompted("Greet somebody"), "client_roots": ROOTS}
    is_complete = all(given(ctx, name) for name in requests)
    return "all there" if is_complete else wanted("asked", **requests)


@server.tool()
async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
    """Two rounds of input."""
    state = json.loads(ctx.request_state or "{}")
    if "name" in state and (second := given(ctx, "step2")):
        return f"{state['name']} likes {filled(second, 'color')}"
    if first := given(ctx, "step1"):
        known = json.dumps({"name": filled(first, "name")})
        return wanted(known, step2=question("Which colour do you like?", "color"))
    return wanted(json.dumps({"round": 1}), step1=NAME)


@server.tool()
async def test_input_required_result_capabilities(ctx: Context) -> InputRequiredResult:
    """Only what the client said that it can do."""
    able = ctx.client_capabilities
    requests: dict[str, Any] = {}
    if able is not None and able.sampling is not None:
        requests["sample"] = prompted("Say hello")
    if able is not None and able.elicitation is not None:
        requests["ask"] = NAME
    return wanted("asked", **requests)


@server.tool()
async def test_missing_capability(ctx: Context) -> str:
    """Refused to a client that cannot sample."""
    able = ctx.session.client_capabilities
    if able is None or able.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", needed)
    return "able"


# Lists that change.


def passing() -> str:
    """What comes and goes."""
    return "here"


@server.tool()
async def test_trigger_tool_change(ctx: Context) -> str:
    """A tool comes and goes."""
    server.add_tool(passing, name="passing")
    server.remove_tool("passing")
    await ctx.notify_tools_changed()
    return "changed"


@server.tool()
async def test_trigger_prompt_change(ctx: Context) -> str:
    """A prompt comes."""
    server.add_prompt(Prompt.from_function(passing, name="passing", description="A passing prompt"))
    await ctx.notify_prompts_changed()
    return "changed"


# Resources and prompts.


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    """Bytes."""
    return base64.b64decode(PICTURE)


@server.resource("test://watched-resource")
def watched_resource() -> str:
    """One that can be subscribed to."""
    return "still water"


@server.resource("test://template/{id}/data", mime_type="application/json")
def template_data(id: str) -> str:  # noqa: A002 -- the template's word
    """One for each id."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def said(*contents: Any) -> list[UserMessage]:
    """Messages of a prompt."""
    return [UserMessage(role="user", content=content) for content in contents]


@server.prompt()
def test_simple_prompt() -> list[UserMessage]:
    """No arguments."""
    return said(text("This is a simple prompt for testing."))


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """Two arguments."""
    return said(text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 -- the suite's word
    """A resource within a message."""
    return said(embedded(resourceUri, "Embedded resource content for testing."), text("Look at this."))


@server.prompt()
def test_prompt_with_image() -> list[UserMessage]:
    """An image within a message."""
    return said(picture(), text("Look at this."))


@server.prompt()
async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | InputRequiredResult:
    """A prompt that wants more input."""
    answer = given(ctx, "user_context")
    if answer:
        return said(text(f"Mind this: {filled(answer, 'context')}"))
    return wanted(user_context=question("What is it about?", "context"))


@server.completion()
async def complete(*_: Any) -> Completion:
    """No suggestions."""
    return Completion(values=[], total=0, has_more=False)


async def agree(*_: Any) -> EmptyResult:
    """Take note."""
    return EmptyResult()


# The legacy requests that the SDK leaves to its lower level.
for method, params in (
    ("logging/setLevel", SetLevelRequestParams),
    ("resources/subscribe", SubscribeRequestParams),
    ("resources/unsubscribe", UnsubscribeRequestParams),
):
    server._lowlevel_server.add_request_handler(method, params, agree)  # noqa: SLF001

listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
config = uvicorn.Config(server.streamable_http_app(), log_level="warning", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
