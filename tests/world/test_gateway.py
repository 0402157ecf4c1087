"""The bridge in front of the real ContextForge gateway, stateful: where the project began."""

from __future__ import annotations

import pytest

from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, request
from tests.world.gateway import Gateway
from tests.world.test_servers import assert_conversation, is_progress, responses, text_of, with_progress

pytestmark = pytest.mark.timeout(300)

TOOLS = ("up-echo", "up-add", "up-slow", "up-ask")
"""The gateway puts the peer's name before each tool."""


@pytest.fixture(params=["argument", "environment"])
def ferry(request: pytest.FixtureRequest, gateway: Gateway) -> Ferry:
    """A bridge to the virtual server by its URL, then one that knows only what the wrapper was told."""
    env = {"MCP_AUTH": gateway.auth}
    if request.param == "argument":
        return Ferry(gateway.server, env=env)
    return Ferry(env={**env, "MCP_SERVER_URL": gateway.base})


def test_two_lines_written_at_once_are_both_answered(ferry: Ferry) -> None:
    with ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert_conversation(ferry, *TOOLS)
        assert ferry.end() == 0
        assert responses(ferry) == [1, 2]


def test_two_lines_before_the_end_of_stdin_are_both_answered(ferry: Ferry) -> None:
    with ferry:
        ferry.write(INITIALIZE, TOOLS_LIST)
        assert ferry.end() == 0
        assert_conversation(ferry, *TOOLS)
        assert responses(ferry) == [1, 2]


def test_a_call_tells_its_progress(ferry: Ferry) -> None:
    # The gateway sends progress on the session's listener and nowhere else, so it may cross with the answer.
    with ferry:
        ferry.write(INITIALIZE, INITIALIZED, with_progress(3, "up-slow", {"steps": 3, "ms": 600}))
        assert text_of(ferry.reply(3)) == "3 steps"
        news = ferry.wait_for_many(3, is_progress, "progress")
        assert [line.value["params"]["progress"] for line in news] == [1, 2, 3]
        assert ferry.end() == 0


def test_a_resource_is_read(ferry: Ferry) -> None:
    with ferry:
        ferry.write(INITIALIZE, INITIALIZED, request(3, "resources/read", uri="ferry://tide-table"))
        assert ferry.reply(3)["result"]["contents"][0]["text"] == "High water 05:12 and 17:38"
        assert ferry.end() == 0
