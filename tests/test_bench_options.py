"""The command line of `mcp-ferry bench`: whom it refuses, and what it says of what cannot be understood."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mcp_ferry.bench import options, plan
from mcp_ferry.bench.plan import Call
from mcp_ferry.cli import UsageError
from mcp_ferry.exceptions import ConfigError
from tests.support.ferry import DEADLINE, clean_environment
from tests.support.load import BENCH, HERE, bench


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/mcp",
        "http://localhost.example.com/mcp",
        "http://127.0.0.1.example.com/mcp",
        "http://192.168.1.1/mcp",
        "http://0.0.0.0:8000/mcp",
        "http://[::]:8000/mcp",
        "http://[2001:db8::1]/mcp",
        "http://example.com\\@127.0.0.1/mcp",
        "http://128.1/mcp",
    ],
)
def test_hosts_that_are_not_this_machine_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--yes-i-own-this-host"):
        options.read([url])
    assert options.read(["--yes-i-own-this-host", url]).sessions == 1


def test_a_backslash_hides_no_other_host() -> None:
    assert options.is_loopback("http://127.0.0.1:3128")
    assert not options.is_loopback("http://example.com\\@127.0.0.1:3128")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.1"]
)
def test_this_machine_is_not_refused(host: str) -> None:
    assert options.read([f"http://{host}/mcp"]).environment["NO_PROXY"] == "*"


def test_a_refusal_is_one_line_that_names_the_flag() -> None:
    ended = bench("https://example.com/mcp")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "--yes-i-own-this-host" in ended.stderr


def test_a_proxy_on_another_machine_is_refused_too() -> None:
    with pytest.raises(UsageError, match=r"--proxy: .*--yes-i-own-this-host"):
        options.read(["--proxy", "http://proxy.example.com:3128", HERE])
    assert "NO_PROXY" not in options.read(["--proxy", "http://127.0.0.1:3128", HERE]).environment


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no URL"),
        ([HERE, HERE], "more than one URL"),
        (["--via", "pigeon", HERE], "--via"),
        (["--auht=secret", HERE], "unknown option --auht; see mcp-ferry bench --help"),
        (["--calls", "0", HERE], "--calls"),
        (["--calls", "many", HERE], "--calls"),
        (["--sessions", "1001", HERE], "--sessions"),
        (["--rate", "0", HERE], "--rate"),
        (["--duration", "nan", HERE], "--duration"),
        (["--arguments", "{}", HERE], "name it with --tool"),
        (["--tool", "echo", "--arguments", "[]", HERE], "--arguments: this is JSON, but no object"),
        (["--tool", "echo", "--arguments", "{", HERE], "--arguments: this is not JSON"),
        (["--tool", "echo", "--mix", "mix.json", HERE], "--mix: "),
        (["--mix", "/no/such/file", HERE], "--mix: cannot read"),
        (["--picture", "picture.gif", HERE], "--picture: "),
    ],
)
def test_usage_errors_say_what_to_do(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCP_FERRY_URL", raising=False)
    with pytest.raises(UsageError) as raised:
        options.read(arguments)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_wrong_setting_is_named_as_the_bridge_names_it() -> None:
    with pytest.raises(ConfigError, match="--timeout: "):
        options.read(["--timeout", "0", HERE])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "a mix is a list"),
        ("{}", "a mix is a list"),
        ("[1]", "entry 1: it is no object"),
        ('[{"tool": "a"}, {}]', "entry 2: it needs either"),
        ('[{"tool": "a", "method": "b"}]', "entry 1: it needs either"),
        ('[{"tool": "a", "wieght": 2}]', "'wieght'"),
        ('[{"tool": "a", "weight": 0}]', "weight"),
        ('[{"tool": "a", "weight": true}]', "weight"),
        ('[{"tool": "", "weight": 1}]', "its tool has to be a text"),
        ('[{"tool": "a", "arguments": []}]', "its arguments have to be an object"),
        ('[{"method": "initialize"}]', "initialize cannot be put under load"),
        ('[{"method": "notifications/cancelled"}]', "cannot be put under load"),
    ],
)
def test_a_wrong_mix_is_explained(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan.read_mix(text)


def test_entries_of_one_name_are_told_apart() -> None:
    calls = plan.read_mix('[{"tool": "a"}, {"tool": "a", "arguments": {"b": 1}}]')
    assert [call.name for call in calls] == ["a", "a (2)"]


def test_help_works_and_is_mentioned_by_the_bridges_help() -> None:
    shown = bench("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    for flag in ("--via", "--rate", "--mix", "--header", "--yes-i-own-this-host", "pip install"):
        assert flag in shown.stdout
    bridge = subprocess.run([*BENCH[:3], "--help"], capture_output=True, text=True, check=True)
    assert "mcp-ferry bench [OPTIONS] URL" in bridge.stdout


WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {missing!r} else found(name, *rest)
from mcp_ferry.cli import main
main()
"""


@pytest.mark.parametrize(("missing", "picture"), [("hdrh", False), ("rich", False), ("matplotlib", True)])
def test_without_its_packages_it_says_how_to_get_them(missing: str, picture: bool) -> None:
    drawn = ["--picture", "a.png"] if picture else []
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=missing), "bench", *drawn, HERE],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'mcp-ferry[bench]'" in ended.stderr


def test_a_rotation_spreads_and_never_strays_from_the_weights() -> None:
    calls = [Call("a", "a", {}, 5), Call("b", "b", {}, 1), Call("c", "c", {}, 1)]
    rotation = plan.Rotation(calls)
    assert "".join(rotation.next().name for _ in range(14)) == "aabacaa" * 2
