"""The bridge in front of the Python SDK's HTTP+SSE server; its conversations are in test_servers.py too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ferry import INITIALIZE, INITIALIZED, TOOLS_LIST, Ferry, call
from tests.world.conftest import installed
from tests.world.environments import SDK1
from tests.world.peers import HTTP_SSE, SCRIPTS, RunningPeer
from tests.world.processes import Server, free_port

pytestmark = pytest.mark.timeout(300)
before_it = pytest.mark.parametrize("peer", [HTTP_SSE], ids=["sdk1"], indirect=True)


@before_it
@pytest.mark.parametrize("transport", ["auto", "sse"])
def test_many_calls_over_one_stream(peer: RunningPeer, transport: str) -> None:
    with Ferry(peer.url, "--transport", transport) as ferry:
        ferry.write(INITIALIZE, INITIALIZED, TOOLS_LIST)
        for number in range(100, 200):
            ferry.write(call(number, "echo", text=f"{number}"))
        assert ferry.end() == 0
        assert ferry.reply(1)["result"]["serverInfo"]["name"] == "world-sdk1"
        for number in range(100, 200):
            assert ferry.reply(number)["result"]["content"][0]["text"] == f"{number}"
        assert len(ferry.lines) == 102
        assert ferry.stderr == ""


@before_it
def test_told_to_speak_streamable_http_alone_it_says_what_the_server_said(peer: RunningPeer) -> None:
    with Ferry(peer.url, "--transport", "http") as ferry:
        ferry.write(INITIALIZE)
        assert ferry.reply(1)["error"]["data"]["httpStatus"] == 405
        assert ferry.end() == 0


def test_a_restart_between_two_calls_does_not_show(tmp_path: Path) -> None:
    installed(SDK1)
    port = str(free_port())
    command: list[str | Path] = [SDK1.python, SCRIPTS / "sdk1_server.py", "--sse", "--port", port]
    first = Server(command, ready="listening on", log=tmp_path / "first.log")
    with first, Ferry(f"http://127.0.0.1:{port}/sse") as ferry:
        ferry.write(INITIALIZE, INITIALIZED, call(2, "echo", text="before"))
        assert "result" in ferry.reply(2)
        first.close()
        with Server(command, ready="listening on", log=tmp_path / "second.log"):
            ferry.write(call(3, "echo", text="after"))
            assert ferry.reply(3)["result"]["content"][0]["text"] == "after"
            assert ferry.end() == 0
            assert len(ferry.lines) == 3
