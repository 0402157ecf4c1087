"""The command line: what it says, where, and with which exit status."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from mcp_ferry import __version__
from mcp_ferry._ferry import Server
from mcp_ferry.settings import TABLE
from tests.support.ferry import DEADLINE, INITIALIZE, MODULE, TOOLS_LIST, Ferry, clean_environment, command

SCRIPT = str(Path(sysconfig.get_path("scripts")) / "mcp-ferry")
URL = "http://127.0.0.1:9/mcp"


def test_help_names_every_flag_variable_and_default() -> None:
    shown = command("--help")
    assert shown.returncode == 0
    assert shown.stderr == ""
    for row in TABLE:
        assert row.flag in shown.stdout
        for name in row.env:
            assert name in shown.stdout
    assert "default: 60 s" in shown.stdout
    assert "Examples:" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 110


def test_version() -> None:
    shown = command("--version")
    assert (shown.returncode, shown.stdout) == (0, f"mcp-ferry {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ([], {}, "no URL"),
        (["--tiemout", "3", URL], {}, "unknown option --tiemout"),
        (["--timeout"], {}, "--timeout"),
        ([URL, URL], {}, "more than one URL"),
        ([URL, "--url", URL], {}, "--url: the URL was given twice"),
        (["localhost:8000"], {}, "URL: "),
        (["ftp://localhost/mcp"], {}, "URL: "),
        ([], {"MCP_FERRY_URL": "nowhere"}, "MCP_FERRY_URL: "),
        ([], {"MCP_SERVER_URL": "nowhere"}, "MCP_SERVER_URL: "),
        (["--url", "nowhere"], {}, "--url: "),
        ([URL, "--timeout", "soon"], {}, "--timeout: 'soon' is not a number"),
        ([URL, "--timeout", "0"], {}, "--timeout: "),
        ([URL], {"MCP_TOOL_CALL_TIMEOUT": "-1"}, "MCP_TOOL_CALL_TIMEOUT: "),
        ([URL, "--connect-timeout", "nan"], {}, "--connect-timeout: "),
        ([URL], {"CONCURRENCY": "0"}, "CONCURRENCY: "),
        ([URL, "--max-message-size", "0"], {}, "--max-message-size: "),
        ([URL, "--max-message-size", "99999999999999999999G"], {}, "--max-message-size: "),
        ([URL, "--header", "X-Team"], {}, "--header: "),
        ([URL, "--header", "Host: here"], {}, "--header: "),
        ([URL, "--header", "X-Key: ${NOT_SET_ANYWHERE}"], {}, "NOT_SET_ANYWHERE"),
        ([URL, "--ca-cert", "/no/such/file.pem"], {}, "--ca-cert: "),
        ([URL, "--client-cert", __file__], {}, "--client-cert: "),
        ([URL, "--client-key", "/no/such/file.pem"], {}, "--client-key: "),
        ([URL, "--proxy", "nowhere"], {}, "--proxy: "),
        ([URL, "--token-file", ""], {}, "--token-file: "),
        ([URL, "--token-command", "print 'it"], {}, "--token-command: "),
        ([URL, "--token-file", "t"], {"MCP_AUTH": "Bearer t"}, "--token-file: "),
        ([URL, "--header", "authorization: t"], {"MCP_FERRY_TOKEN_FILE": "t"}, "MCP_FERRY_TOKEN_FILE: "),
        ([URL, "--token-command", "t"], {"MCP_FERRY_TOKEN_FILE": "t"}, "--token-command: "),
        ([URL], {"MCP_FERRY_TRANSPORT": "stdio"}, "MCP_FERRY_TRANSPORT: "),
        ([URL, "--log-level", "loud"], {}, "--log-level: "),
        ([URL, "--log-format", "xml"], {}, "--log-format: "),
        ([URL, "--log-file", "/no/such/directory/log"], {}, "--log-file: "),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_name(
    arguments: list[str], environ: dict[str, str], said: str
) -> None:
    ended = command(*arguments, **environ)
    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith("mcp-ferry: ")
    assert said in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--auht", "Bearer s3cret", URL],
        ["--auht=s3cret", URL],
        [URL, "s3cret"],
        [URL, "--header", "s3cret"],
        [URL, "--header", "X-Key: s3cret ${NOT_SET_ANYWHERE}"],
        [URL, "--header", "X-Key: s3cret\n", "--timeout", "0"],
        [URL, "--auth", "s3cret\x01"],
        [URL, "--token-command", "print 's3cret"],
        ["http://me:s3cret@localhost/mcp"],
        [URL, "--proxy", "ftp://me:s3cret@localhost"],
    ],
)
def test_a_secret_is_not_repeated_in_an_error(arguments: list[str]) -> None:
    ended = command(*arguments)
    assert ended.returncode == 2
    assert "s3cret" not in ended.stderr


def test_a_secret_on_the_command_line_works_and_is_warned_about_once() -> None:
    ended = command(URL, "--auth", "Bearer s3cret")
    assert ended.returncode == 0
    [line] = ended.stderr.splitlines()
    assert "warning" in line
    assert "MCP_FERRY_AUTH" in line
    assert "s3cret" not in line
    assert command(URL, MCP_AUTH="Bearer s3cret").stderr == ""


def test_insecure_is_loud() -> None:
    [line] = command(URL, "--insecure").stderr.splitlines()
    assert "warning" in line
    assert "certificates are not checked" in line


def test_no_input_is_a_normal_end() -> None:
    ended = command(URL)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("command", [MODULE, (SCRIPT,)], ids=["module", "script"])
def test_both_commands_carry_the_conversation(command: tuple[str, ...]) -> None:
    with Server() as server, Ferry(server.url, command=command) as process:
        process.write(INITIALIZE, TOOLS_LIST)
        assert process.reply(2)["result"]["tools"]
        assert process.end() == 0


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["{url}"], {}),
        ([], {"MCP_FERRY_URL": "{url}"}),
        ([], {"MCP_SERVER_URL": "{base}"}),
        ([], {"MCP_SERVER_URL": "{base}/sse"}),
        (["--url", "{base}/"], {}),
    ],
)
def test_every_way_to_name_the_server(arguments: list[str], environ: dict[str, str]) -> None:
    with Server() as server:

        def fill(text: str) -> str:
            return text.format(url=server.url, base=server.url.removesuffix("/mcp"))

        filled = {name: fill(value) for name, value in environ.items()}
        with Ferry(*map(fill, arguments), env=filled) as process:
            process.write(INITIALIZE)
            assert "result" in process.reply(1)
            assert process.end() == 0


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in which $FERRY is the command."""
    env = clean_environment({"FERRY": f"{shutil.which('env')} {' '.join(MODULE)}"})
    return subprocess.run(
        ["/bin/sh", "-c", line], env=env, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_do_no_harm(closed: str) -> None:
    ended = shell(f"exec $FERRY {URL} --log-level debug {closed}" + ("" if "<" in closed else " </dev/null"))
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


def test_a_usage_error_survives_a_closed_stderr() -> None:
    assert shell("exec $FERRY --nonsense 2>&-").returncode == 2


def test_help_into_a_closed_pipe_is_no_drama() -> None:
    ended = shell("$FERRY --help | exec true")
    assert ended.stderr == ""


def test_a_stderr_that_nobody_reads_does_not_hold_the_bridge() -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"\n" * 65536)
        except BlockingIOError:
            os.set_blocking(writing, True)
        with Server() as server:
            ended = subprocess.run(
                [*MODULE, server.url, "--log-level", "debug", "--auth", "Bearer x"],
                input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 100,
                stdout=subprocess.PIPE,
                stderr=writing,
                env=clean_environment(),
                timeout=DEADLINE,
                check=False,
            )
    finally:
        os.close(writing)
        os.close(reading)
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 100


def test_demo_shows_the_crossing() -> None:
    shown = command("demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    for part in (
        "POST /mcp",
        "DELETE /mcp",
        "Mcp-Session-Id: ",
        "MCP-Protocol-Version: 2025-03-26",
        '"tools"',
    ):
        assert part in shown.stdout
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--port", "some"], ["--port", "99999"]])
def test_demo_refuses_what_it_cannot_use(arguments: list[str]) -> None:
    ended = command("demo", *arguments)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith("mcp-ferry: ")
