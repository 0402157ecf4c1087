"""`mcp-ferry bench URL`: puts load on a server and tells what a client sees of it.

Reading the command line needs nothing but the standard library, so that `--help` and every refusal work
without the extra packages that measuring needs.
"""

from __future__ import annotations

from importlib.util import find_spec

from mcp_ferry.bench.options import Options, read
from mcp_ferry.cli import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED = ("hdrh", "rich")
NEEDED_FOR_PICTURES = ("matplotlib",)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; the exit status says whether every call was answered without an error."""
    options = read(argv)
    require(options)
    from mcp_ferry.bench.command import run

    return run(options)


def require(options: Options) -> None:
    """See that the packages of the extra are there, or raise `UsageError` with the way to get them."""
    wanted = NEEDED + (NEEDED_FOR_PICTURES if options.picture else ())
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise UsageError(f"bench needs packages of its own ({missing[0]}): pip install 'mcp-ferry[bench]'")
