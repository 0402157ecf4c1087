"""The protocol's methods by name: thin, and they follow pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_ferry.exceptions import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_ferry.session import Progress

MOST_PAGES = 10_000
"""A server whose list has more pages than this is going in circles."""

INVALID_RESULT = -32603


class Methods:
    """What a session can ask a server for. Each raises what `Session.request` does."""

    __slots__ = ()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """See `Session.request`."""
        raise NotImplementedError

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """See `Session.notify`."""
        raise NotImplementedError

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Call a tool; its whole result, with `content` and, if the tool failed, a true `isError`."""
        params = {"name": name, "arguments": dict(arguments) if arguments else {}}
        result = await self.request("tools/call", params, timeout=timeout, headers=headers, progress=progress)
        return _object(result)

    async def list_tools(self) -> list[dict[str, Any]]:
        """All tools."""
        return await self._all("tools/list", "tools")

    async def list_resources(self) -> list[dict[str, Any]]:
        """All resources."""
        return await self._all("resources/list", "resources")

    async def list_resource_templates(self) -> list[dict[str, Any]]:
        """All templates of resources."""
        return await self._all("resources/templates/list", "resourceTemplates")

    async def list_prompts(self) -> list[dict[str, Any]]:
        """All prompts."""
        return await self._all("prompts/list", "prompts")

    async def read_resource(self, uri: str) -> list[dict[str, Any]]:
        """What a resource holds, part by part."""
        contents = _object(await self.request("resources/read", {"uri": uri})).get("contents")
        return contents if isinstance(contents, list) else []

    async def get_prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A prompt, filled in; its `messages` are what a model is given."""
        params = {"name": name, "arguments": dict(arguments) if arguments else {}}
        return _object(await self.request("prompts/get", params))

    async def complete(
        self, ref: Mapping[str, Any], argument: Mapping[str, str], context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Suggestions for an argument of a prompt or of a resource's template."""
        params = {"ref": dict(ref), "argument": dict(argument)}
        if context is not None:
            params["context"] = dict(context)
        completion = _object(await self.request("completion/complete", params)).get("completion")
        return _object(completion)

    async def ping(self) -> None:
        """Ask whether the server is there. Only legacy servers know this."""
        await self.request("ping")

    async def set_log_level(self, level: str) -> None:
        """Say how much the server is to tell. Only legacy servers know this."""
        await self.request("logging/setLevel", {"level": level})

    async def subscribe(self, uri: str) -> None:
        """Have changes of a resource told. Only legacy servers know this; see `Session.notifications`."""
        await self.request("resources/subscribe", {"uri": uri})

    async def unsubscribe(self, uri: str) -> None:
        """Want no more of that."""
        await self.request("resources/unsubscribe", {"uri": uri})

    async def _all(self, method: str, member: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: Any = None
        for _ in range(MOST_PAGES):
            page = _object(await self.request(method, None if cursor is None else {"cursor": cursor}))
            items = page.get(member)
            if not isinstance(items, list):
                raise ServerError(INVALID_RESULT, f"the result of {method} has no {member}")
            found += items
            following = page.get("nextCursor")
            if following is None or following == cursor:
                return found
            cursor = following
        raise ServerError(INVALID_RESULT, f"{method} has more than {MOST_PAGES} pages")


def _object(result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise ServerError(INVALID_RESULT, "the result is no object")
    return result
