"""`mcp-ferry list` and `mcp-ferry call`: a look at a server, and one call of a tool, for people and scripts.

Both stand on `mcp_ferry.connect`. Reading the command line needs nothing slow, so that `--help` and every
refusal come at once.
"""

from __future__ import annotations

from mcp_ferry.runner import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""


def main(argv: Sequence[str]) -> int:
    """Do what the first word says, `list` or `call`; the exit status."""
    try:
        asked = options.read_list(argv[1:]) if argv[0] == "list" else options.read_call(argv[1:])
        from mcp_ferry.runner import command

        return command.run(asked)
    except KeyboardInterrupt:
        # Before or after the event loop ran, which takes signals itself.
        return INTERRUPTED
