"""The command line: `mcp-ferry URL`.

Start-up time is what a user of an agent waits for, so this path imports argparse and nothing slower; a test
holds the list. Whatever goes wrong is one line on stderr. stdout belongs to the protocol.
"""

from __future__ import annotations

import argparse
import os
import sys

from mcp_ferry import settings
from mcp_ferry.exceptions import ConfigError, FerryError
from mcp_ferry.logs import Log, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from mcp_ferry._ferry import Config

OK, UNEXPECTED, USAGE = 0, 1, 2
FLUSH_MS = 200
"""How long the end waits for the last log records to be written."""

USAGE_LINE = """mcp-ferry [OPTIONS] URL
       mcp-ferry demo [--serve] [--port PORT]
       mcp-ferry list [OPTIONS] URL
       mcp-ferry call [OPTIONS] URL TOOL [ARGUMENTS]
       mcp-ferry bench [OPTIONS] URL"""
DESCRIPTION = (
    "Carries MCP between a client that speaks stdio and a server that speaks Streamable HTTP.\n"
    "Start it where the client expects an MCP server command."
)
EPILOG = """\
Examples:
  mcp-ferry https://example.com/mcp
  MCP_FERRY_AUTH='Bearer TOKEN' mcp-ferry https://example.com/mcp
  mcp-ferry --header 'X-Api-Key: ${API_KEY}' --timeout 300 https://example.com/mcp
  MCP_SERVER_URL=http://localhost:4444 MCP_AUTH='Bearer TOKEN' mcp-ferry
  mcp-ferry demo
  mcp-ferry list https://example.com/mcp
  mcp-ferry call https://example.com/mcp search query='tide table' limit=5
  mcp-ferry bench --concurrency 16 http://127.0.0.1:8000/mcp

A flag wins over a variable. Exit status: 0 at the normal end, 2 for wrong usage, 1 for the unexpected.
"""
MIN_WIDTH, MAX_WIDTH = 60, 100


class HelpLayout(argparse.RawDescriptionHelpFormatter):
    """argparse's layout, with a width of its own finding: argparse's would import half of shutil at start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=terminal_width())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # "-h, --help" and "--timeout SECONDS" once, not the metavar after each spelling.
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {action.metavar}"

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [
            line for part in text.split("\n") for line in super(HelpLayout, self)._split_lines(part, width)
        ]


def terminal_width() -> int:
    """The columns of the terminal that stdout is, within what reads well."""
    try:
        columns = os.get_terminal_size(1).columns
    except OSError:
        columns = MAX_WIDTH
    return max(MIN_WIDTH, min(columns - 2, MAX_WIDTH))


class UsageError(Exception):
    """The command line cannot be understood; the message says what to do."""


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see {self.prog} --help")


class ShowHelp(argparse.Action):
    """`--help`: fills in what is looked up for a reader only, above all the native module's defaults."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the help and exit."""
        from mcp_ferry._ferry import Config

        rows = {row.name: row for row in settings.TABLE}
        defaults = Config.defaults()
        for action in parser._actions:  # noqa: SLF001 - argparse offers no other way to its own list
            if action.dest in rows:
                action.help = settings.describe(rows[action.dest], defaults).replace("%", "%%")
        parser.print_help()
        parser.exit()


class ShowVersion(argparse.Action):
    """`--version`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the version and exit."""
        from mcp_ferry._ferry import __version__

        sys.stdout.write(f"{parser.prog} {__version__}\n")
        parser.exit()


def build_parser() -> Parser:
    """The parser, made from the table of settings. Values stay words here; `settings` reads them."""
    parser = Parser(
        prog="mcp-ferry",
        usage=USAGE_LINE,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpLayout,
        allow_abbrev=False,
        add_help=False,
    )
    add_settings(parser, settings.TABLE)
    others = parser.add_argument_group("Help")
    others.add_argument("-h", "--help", action=ShowHelp, nargs=0, help="Show this help and exit.")
    others.add_argument("--version", action=ShowVersion, nargs=0, help="Show the version and exit.")
    return parser


def add_settings(parser: Parser, rows: Sequence[settings.Setting]) -> None:
    """Give a parser the flags of settings, in their groups."""
    groups = {name: parser.add_argument_group(name) for name in dict.fromkeys(row.group for row in rows)}
    for row in rows:
        group = groups[row.group]
        if not row.flag.startswith("-"):
            group.add_argument(row.name, nargs="?", metavar=row.metavar)
        elif not row.metavar:
            group.add_argument(row.flag, dest=row.name, action="store_true", default=None)
        else:
            action = "append" if row.repeats else "store"
            group.add_argument(row.flag, dest=row.name, metavar=row.metavar, action=action)


def parse(parser: Parser, argv: Sequence[str]) -> dict[str, Any]:
    """The words of a command line by what they are for."""
    known, unknown = parser.parse_known_args(argv)
    refuse(parser, unknown)
    return vars(known)


def refuse(parser: Parser, unknown: Sequence[str]) -> None:
    """Raise `UsageError` for the first of the words that a parser could not place, if there is any."""
    if unknown:
        # Only names are repeated: what follows a misspelt --auth is a secret.
        names = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        trouble = f"unknown option {names[0]}" if names else "more than one URL"
        raise UsageError(f"{trouble}; see {parser.prog} --help")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process.

    The end is immediate: a thread that still waits for a full stderr must not hold it up.
    """
    status = run(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            pass
    os._exit(status)


def hold_standard_descriptors() -> None:
    """Open /dev/null in the place of a closed stdin, stdout or stderr.

    Otherwise a socket could get that number, and log lines or replies would be written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stderr
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit status. Never raises, and prints no traceback."""
    try:
        hold_standard_descriptors()
        return dispatch(argv)
    except (UsageError, ConfigError) as error:
        say(f"mcp-ferry: {error}")
        return USAGE
    except FerryError as error:
        say(f"mcp-ferry: {error}")
        return UNEXPECTED
    except (SystemExit, KeyboardInterrupt, BrokenPipeError):  # the first is argparse's, after --help
        return OK
    except Exception as error:  # noqa: BLE001 - the last resort, so that nobody sees a traceback
        say(f"mcp-ferry: unexpected {type(error).__name__}: {error}; please report this")
        return UNEXPECTED


def dispatch(argv: Sequence[str]) -> int:
    """Do what the first word says; if it is no command, be a bridge."""
    if argv[:1] == ["demo"]:
        from mcp_ferry import demo

        return demo.main(argv[1:])
    if argv[:1] == ["bench"]:
        from mcp_ferry import bench

        return bench.main(argv[1:])
    if argv[:1] in (["list"], ["call"]):
        from mcp_ferry import runner

        return runner.main(argv)
    return bridge(argv)


def bridge(argv: Sequence[str]) -> int:
    """Carry stdin and stdout until the end."""
    found = settings.find(parse(build_parser(), argv), os.environ)
    if not found.values.get("url"):
        raise UsageError("no URL; give it as the first argument or set MCP_FERRY_URL; see mcp-ferry --help")
    from mcp_ferry import _ferry

    config = configure(found, _ferry.Config)
    start_log(found)
    try:
        _ferry.run(config)
    finally:
        _ferry.log_flush(FLUSH_MS)
    return OK


def start_log(found: settings.Found) -> None:
    """Log as it was asked for, from now on."""
    from mcp_ferry import _ferry

    log = open_log(found)
    if found.sources.get("auth") == "--auth":
        log.caution(
            "--auth can be read by others on this machine (ps); set MCP_FERRY_AUTH or MCP_AUTH instead"
        )
    _ferry.log_to(log.record, log.level)


def open_log(found: settings.Found) -> Log:
    """The log as it was asked for."""
    level = found.values.get("log_level", settings.LEVELS["warning"])
    file = found.values.get("log_file")
    style = found.values.get("log_format", "text")
    try:
        return Log(level, file, style)
    except OSError as error:
        trouble = f"cannot write to {file!r} ({error.strerror}); name a file that can be written"
        raise found.explain(ConfigError("log_file", trouble)) from None


def configure(found: settings.Found, make: type[Config]) -> Config:
    """The native module's configuration: everything that was found but what the shell keeps for itself."""
    values = {name: value for name, value in found.values.items() if name not in settings.SHELL_DEFAULTS}
    url = values.pop("url")
    try:
        return make(url, **values)
    except ConfigError as error:
        raise found.explain(error) from None
