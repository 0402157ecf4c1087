"""Writes docs/settings.md from the table of settings.

python -m tests.support.settings_page > docs/settings.md
"""

from __future__ import annotations

import sys
from itertools import groupby

from mcp_ferry._ferry import Config
from mcp_ferry.settings import TABLE, Setting, show_default

OPENING = """\
# Settings

Every setting is a flag and an environment variable. A flag wins over a variable, and `MCP_FERRY_*` over the
name that `mcpgateway.wrapper` gave it. An empty variable counts as none. A list replaces a list: headers from
flags are not added to those from `MCP_FERRY_HEADERS`.

This page is made from the table in `python/mcp_ferry/settings.py` by `make docs`.
"""


def page() -> str:
    """The whole page."""
    parts = [OPENING]
    for group, rows in groupby(TABLE, key=lambda row: row.group):
        parts.append(f"## {group}\n\n| flag | environment | default | meaning |\n| --- | --- | --- | --- |")
        parts.extend(line(row) for row in rows)
        parts.append("")
    return "\n".join(parts)


def line(row: Setting) -> str:
    """One row of a table."""
    flag = " ".join(filter(None, (row.flag, row.metavar))) if row.flag.startswith("-") else row.flag
    flag = flag.replace("|", r"\|")  # a bar would end the cell
    env = ", ".join(f"`{name}`" for name in row.env)
    default = show_default(row, Config.defaults()) or "-"
    return f"| `{flag}` | {env} | {default} | {row.help} |"


if __name__ == "__main__":
    sys.stdout.write(page())
