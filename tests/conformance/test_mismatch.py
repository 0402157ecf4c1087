"""A real server that wants a parameter repeated in a header, called before its tools were ever listed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance import suite
from tests.conformance.scenarios import JULY_2026
from tests.support.ferry import Ferry, request
from tests.world.conftest import installed
from tests.world.environments import SDK2

META = {
    "io.modelcontextprotocol/protocolVersion": JULY_2026,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of the Python SDK, which refuses such a call without its header (-32020)."""
    installed(SDK2)
    with suite.everything(tmp_path_factory.mktemp("mismatch")) as url:
        yield url


@pytest.mark.parametrize("region", ["west", "wüst", " west ", "we\r\nst", "=?base64?d2VzdA==?="])
def test_the_bridge_asks_for_the_annotations_and_calls_again(server: str, region: str) -> None:
    with Ferry(server) as ferry:
        call = {"name": "test_x_mcp_header", "arguments": {"region": region}, "_meta": META}
        ferry.write(request(1, "tools/call", **call))
        assert ferry.reply(1)["result"]["content"][0]["text"] == f"region={region}"
        assert ferry.end() == 0
