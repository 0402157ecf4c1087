"""The command line of `mcp-ferry bench`, and whom it refuses to put under load."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp_ferry import cli, settings
from mcp_ferry.bench import plan
from mcp_ferry.bench.plan import Call, Load
from mcp_ferry.cli import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_DURATION = 10.0
"""Seconds, where nothing else says how much."""
PLACES = 128
"""Calls that may be under way with --rate, all sessions together; one that finds no place begins late."""
MOST_SESSIONS = 1000
PICTURES = (".png", ".svg")

USAGE_LINE = "mcp-ferry bench [OPTIONS] URL"
DESCRIPTION = (
    "Puts load on an MCP server and tells what a client sees: latency, throughput, errors by kind,\n"
    "and replies that are lost or come twice. Without a tool or a mix it sends what does no harm: ping,\n"
    "or tools/list where there is no ping. Hosts other than this machine are refused."
)
EPILOG = """\
A mix is a JSON list; every entry names a tool or a method, and how often it is sent beside the others:
  [{"tool": "echo", "arguments": {"text": "x"}, "weight": 3}, {"method": "tools/list", "params": {}}]

Examples:
  mcp-ferry bench http://127.0.0.1:8000/mcp
  mcp-ferry bench --concurrency 16 --tool echo --arguments '{"text": "x"}' http://127.0.0.1:8000/mcp
  mcp-ferry bench --rate 200 --sessions 4 --mix mix.json --json - http://127.0.0.1:8000/mcp

It needs packages of its own: pip install 'mcp-ferry[bench]'
Exit status: 0 if every call was answered without an error, 1 if not, 2 for wrong usage.
"""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    url: str
    """The endpoint, as the ferry understands it."""
    values: Mapping[str, Any]
    """The bridge's settings that were given, by name, without the URL and what is about logs."""
    environment: Mapping[str, str]
    """All of it as variables for a ferry process: others on this machine can read a command line."""
    timeout: float
    """Seconds that the server may be silent about a request."""
    via: str
    """What carries the calls: `ferry`, a process for each session, or `process`, this one."""
    sessions: int
    load: Load
    calls: tuple[Call, ...]
    """What to send; nothing stands for what does no harm."""
    json: str | None
    """Where the report goes; a dash is stdout."""
    picture: Path | None


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read_whole(text: str) -> int:
        try:
            number = settings.read_count(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if number < least or (most is not None and number > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} will not do; write a number, {bounds}")
        return number

    return read_whole


def positive(text: str) -> float:
    """A number above nothing, and an end to it."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < 1e9:  # noqa: PLR2004 - thirty years, or as many calls as no machine makes in a second
        raise argparse.ArgumentTypeError(
            f"{text!r} will not do; write a number above 0, for example 30 or 2.5"
        )
    return number


def build_parser() -> cli.Parser:
    """The parser: what to send and how, then the bridge's own settings from their table."""
    parser = cli.Parser(
        prog="mcp-ferry bench",
        usage=USAGE_LINE,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=cli.HelpLayout,
        allow_abbrev=False,
        add_help=False,
    )
    add_load(parser)
    add_calls(parser)
    add_results(parser)
    # Here --concurrency is about calls, and what the ferry allows follows from it.
    cli.add_settings(parser, [row for row in settings.TABLE if row.name != "concurrency"])
    others = parser.add_argument_group("Help")
    others.add_argument("-h", "--help", action=cli.ShowHelp, nargs=0, help="Show this help and exit.")
    return parser


def add_load(parser: cli.Parser) -> None:
    """How much, how fast, and over what."""
    group = parser.add_argument_group("How much and how fast")
    add = group.add_argument
    add(
        "--via",
        choices=("ferry", "process"),
        default="ferry",
        metavar="ferry|process",
        help="ferry starts a ferry for each session and speaks to it over stdio, as clients do; process "
        "opens sessions in this process, with mcp_ferry.connect. (default: ferry)",
    )
    add(
        "--concurrency",
        dest="at_once",
        type=whole(1, 100_000),
        metavar="N",
        help="Calls that each session has under way at once. "
        f"(default: 1; with --rate {PLACES}, shared by the sessions)",
    )
    add(
        "--sessions",
        type=whole(1, MOST_SESSIONS),
        default=1,
        metavar="N",
        help="Sessions side by side. (default: 1)",
    )
    add("--calls", type=whole(1), metavar="N", help="End after so many calls, all sessions together.")
    add(
        "--duration",
        type=positive,
        metavar="SECONDS",
        help=f"Begin no call after so long. (default: {DEFAULT_DURATION:g}, without --calls)",
    )
    add(
        "--rate",
        type=positive,
        metavar="N",
        help="Begin so many calls a second, all sessions together, whether or not those before have ended. "
        "Latency then counts from the moment at which a call was due.",
    )
    add(
        "--warm-up",
        type=whole(0),
        default=0,
        metavar="N",
        help="Calls to make beforehand, which do not count. (default: 0)",
    )
    add(
        "--yes-i-own-this-host",
        action="store_true",
        help="Put load on a host that is not this machine. Only do so to your own.",
    )


def add_calls(parser: cli.Parser) -> None:
    """What to send."""
    group = parser.add_argument_group("What to send")
    group.add_argument("--tool", metavar="NAME", help="Call this tool.")
    group.add_argument("--arguments", metavar="JSON", help="Its arguments, a JSON object. (default: {})")
    group.add_argument("--mix", metavar="FILE", help="Send what this JSON file lists, by weight; see below.")


def add_results(parser: cli.Parser) -> None:
    """Where the results go."""
    group = parser.add_argument_group("Results")
    group.add_argument("--json", metavar="FILE|-", help="Write the report as JSON; - is stdout.")
    group.add_argument("--picture", metavar="FILE.png|FILE.svg", help="Draw latency and throughput.")


def read(argv: Sequence[str]) -> Options:
    """Understand the command line; raises `UsageError` or `ConfigError`, of one line."""
    flags = cli.parse(build_parser(), argv)
    from mcp_ferry._ferry import Config

    sessions, rate = flags["sessions"], flags["rate"]
    at_once = flags["at_once"] or (1 if rate is None else math.ceil(PLACES / sessions))
    # The ferry's own bound is as usual, or what the load needs.
    given = flags | {"concurrency": max(at_once, Config.defaults()["concurrency"])}
    found = settings.find(given, os.environ)
    if not found.values.get("url"):
        raise UsageError("no URL; give it as the last argument; see mcp-ferry bench --help")
    config = cli.configure(found, Config)
    proxy = found.values.get("proxy")
    if not flags["yes_i_own_this_host"]:
        stay_here(config.url, proxy)
    # The proxies of the environment are no part of a way that does not leave this machine.
    direct = {"NO_PROXY": "*"} if proxy is None and is_loopback(config.url) else {}
    load = Load(
        at_once,
        flags["calls"],
        flags["duration"] or (None if flags["calls"] else DEFAULT_DURATION),
        rate,
        flags["warm_up"],
    )
    return Options(
        url=config.url,
        values={
            name: value
            for name, value in found.values.items()
            if name != "url" and name not in settings.SHELL_DEFAULTS
        },
        environment=environment(given, config.url) | direct,
        timeout=config.timeout,
        via=flags["via"],
        sessions=sessions,
        load=load,
        calls=read_calls(flags),
        json=flags["json"],
        picture=read_picture(flags["picture"]),
    )


def environment(given: Mapping[str, Any], url: str) -> dict[str, str]:
    """The settings of the command line as variables, where none of this process's own comes before them."""
    found = {}
    for row in settings.TABLE:
        words = given.get(row.name)
        if words is not None:
            several = words if isinstance(words, list) else [1 if words is True else words]
            found[row.env[0]] = "\n".join(map(str, several))
    return found | {"MCP_FERRY_URL": url}


def read_calls(flags: Mapping[str, Any]) -> tuple[Call, ...]:
    """What to send, from a tool or a mix."""
    tool, arguments, mix = flags["tool"], flags["arguments"], flags["mix"]
    if mix is not None and (tool is not None or arguments is not None):
        raise UsageError("--mix: it lists tools itself; leave out --tool and --arguments")
    if tool is None and arguments is not None:
        raise UsageError("--arguments: they are those of a tool; name it with --tool")
    if tool is not None:
        try:
            return (plan.tool_call(tool, plan.read_object(arguments or "{}")),)
        except ValueError as error:
            raise UsageError(f"--arguments: {error}") from None
    if mix is None:
        return ()
    try:
        return plan.read_mix(Path(mix).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--mix: cannot read {mix!r} ({error.strerror}); name a file") from None
    except ValueError as error:
        raise UsageError(f"--mix: {error}") from None


def read_picture(text: str | None) -> Path | None:
    """Where to draw to."""
    if text is not None and not text.endswith(PICTURES):
        raise UsageError(f"--picture: {text!r} says nothing about the kind; let it end in .png or .svg")
    return Path(text) if text is not None else None


def stay_here(url: str, proxy: str | None) -> None:
    """Refuse a server or a proxy on any other machine.

    Names are refused even if they resolve to this machine: what they mean can change while the command line
    stays. It is the ferry's own reading of the URL that is judged, not another one.
    """
    for what, place in (("URL", url), ("--proxy", proxy)):
        if place is not None and not is_loopback(place):
            raise UsageError(f"{what}: that is not this machine; if it is yours, add --yes-i-own-this-host")


def is_loopback(url: str) -> bool:
    """Whether the host is `localhost` or an address of the loopback, written out.

    >>> is_loopback("http://[::1]:8000/mcp"), is_loopback("http://localhost.example.com/mcp")
    (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        # Some take a backslash for a slash, and would find another host.
        return "\\" not in url and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
