"""The command lines of `mcp-ferry list` and `mcp-ferry call`."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any, Literal, cast

from mcp_ferry import cli, settings
from mcp_ferry.cli import UsageError
from mcp_ferry.runner import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_ferry.runner.arguments import Arguments
    from mcp_ferry.settings import Found

Era = Literal["auto", "legacy", "modern"]

KINDS = ("tools", "resources", "templates", "prompts")
"""What a server can list."""

LIST_USAGE = "mcp-ferry list [OPTIONS] URL"
LIST_DESCRIPTION = "Shows what an MCP server offers: its tools, or whatever else is asked for."
LIST_EPILOG = """\
Arguments in brackets may be left out. A URL in MCP_FERRY_URL need not be given.

Examples:
  mcp-ferry list https://example.com/mcp
  mcp-ferry list --what all https://example.com/mcp
  mcp-ferry list --json https://example.com/mcp | jq -r '.[].name'

Exit status: 0 if all is well, 1 if the server or the way to it failed, 2 for wrong usage, 130 after Ctrl-C.
"""

CALL_USAGE = """mcp-ferry call [OPTIONS] URL TOOL [NAME=VALUE | NAME:=JSON ...]
       mcp-ferry call [OPTIONS] URL TOOL JSON
       mcp-ferry call [OPTIONS] URL TOOL -"""
CALL_DESCRIPTION = (
    "Calls a tool of an MCP server and prints what it gives. Arguments are NAME=VALUE, where the tool's own\n"
    "schema tells a number from a text, NAME:=JSON, one JSON object, or - for a JSON object from stdin."
)
CALL_EPILOG = """\
A URL in MCP_FERRY_URL need not be given. What the server asks meanwhile is put to you if stdin and stderr are
a terminal, and declined if not. Ctrl-C cancels the call at the server too.

Examples:
  mcp-ferry call https://example.com/mcp search query='tide table' limit=5
  mcp-ferry call https://example.com/mcp search '{"query": "tide table", "limit": 5}'
  mcp-ferry call --json https://example.com/mcp search filter:='{"year": 2026}' | jq .structuredContent

Exit status: 0 if all is well, 1 if the tool, the server or the way to it failed, 2 for wrong usage,
130 after Ctrl-C.
"""


@dataclass(frozen=True)
class Target:
    """Which server, and how to speak with it."""

    found: Found
    """All settings, as they were given."""
    url: str
    era: Era

    @property
    def values(self) -> dict[str, Any]:
        """The settings for `mcp_ferry.connect`, by name."""
        kept = {"url", *settings.SHELL_DEFAULTS}
        return {name: value for name, value in self.found.values.items() if name not in kept}


@dataclass(frozen=True)
class Listing:
    """What `mcp-ferry list` is to do."""

    target: Target
    json: bool
    what: str
    """One of `KINDS`, or `all`."""


@dataclass(frozen=True)
class Calling:
    """What `mcp-ferry call` is to do."""

    target: Target
    json: bool
    tool: str
    arguments: Arguments
    progress: bool
    """Whether progress is shown to whoever reads stderr, even if that is no terminal."""


def read_list(argv: Sequence[str]) -> Listing:
    """Understand the command line; raises `UsageError` or `ConfigError`, of one line."""
    parser, group = build_parser("list", LIST_USAGE, LIST_DESCRIPTION, LIST_EPILOG)
    group.add_argument(
        "--what",
        choices=(*KINDS, "all"),
        default="tools",
        metavar="|".join((*KINDS, "all")),
        help="What to list; templates are those of resources. (default: tools)",
    )
    group.add_argument("--json", action="store_true", help="Print what the server listed, as JSON.")
    flags, words = parse(parser, argv)
    target = read_target(flags, words, parser.prog)
    if words:
        raise UsageError(f"more than one URL; see {parser.prog} --help")
    return Listing(target, flags["json"], flags["what"])


def read_call(argv: Sequence[str]) -> Calling:
    """Understand the command line; raises `UsageError` or `ConfigError`, of one line."""
    parser, group = build_parser("call", CALL_USAGE, CALL_DESCRIPTION, CALL_EPILOG)
    group.add_argument("--json", action="store_true", help="Print the whole result, as JSON.")
    group.add_argument(
        "--progress",
        action="store_true",
        help="Show the tool's progress on stderr. (default: if that is a terminal)",
    )
    flags, words = parse(parser, argv)
    target = read_target(flags, words, parser.prog)
    if not words:
        raise UsageError("no tool; name it after the URL; mcp-ferry list shows what there is")
    tool = words.pop(0)
    return Calling(target, flags["json"], tool, arguments.read(words), flags["progress"])


def build_parser(
    command: str, usage: str, description: str, epilog: str
) -> tuple[cli.Parser, argparse._ArgumentGroup]:
    """What both have: an era, the bridge's own settings from their table, and help; and a group to add to."""
    parser = cli.Parser(
        prog=f"mcp-ferry {command}",
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=cli.HelpLayout,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    group = parser.add_argument_group("What to do")
    group.add_argument(
        "--era",
        choices=("auto", "legacy", "modern"),
        default="auto",
        metavar="auto|legacy|modern",
        help="What the server is, if that is known: legacy is 2025-11-25 and before, modern 2026-07-28 and "
        "later. To say legacy saves a round trip. (default: auto)",
    )
    cli.add_settings(parser, [row for row in settings.TABLE if row.name != "url"])
    others = parser.add_argument_group("Help")
    others.add_argument("-h", "--help", action=cli.ShowHelp, nargs=0, help="Show this help and exit.")
    return parser, group


def parse(parser: cli.Parser, argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The flags by name, wherever they stand, and the words among them."""
    known, unknown = parser.parse_known_intermixed_args(argv)
    cli.refuse(parser, unknown)
    flags = vars(known)
    return flags, flags.pop("words")


def read_target(flags: Mapping[str, Any], words: list[str], program: str) -> Target:
    """Which server it is about; takes the URL from the words, if it is there.

    No tool's name has `://` in it, so a first word without is no URL.
    """
    given = words.pop(0) if words and "://" in words[0] else None
    found = settings.find({**flags, "url": given}, os.environ)
    if not found.values.get("url"):
        raise UsageError(f"no URL; give it first, with its http:// or https://; see {program} --help")
    from mcp_ferry._ferry import Config

    config = cli.configure(found, Config)
    return Target(found, config.url, cast("Era", flags["era"]))
