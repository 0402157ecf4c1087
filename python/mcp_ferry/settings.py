"""Every setting of the command line, in one table, and how a value is found.

A row names the setting as `_ferry.Config` does and as errors do. Its value comes from the flag, else from
`MCP_FERRY_*`, else from the name that mcpgateway.wrapper gave it, else it is left to the default, which
lives in the native module alone. This file reads words; whether a value makes sense is decided there too.
"""

from __future__ import annotations

import os
import re
import sys

from mcp_ferry.exceptions import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

Header = tuple[str, str]


class Setting:
    """One row: `read` turns the words of a person into the value, or raises ValueError with a remedy."""

    __slots__ = ("env", "flag", "group", "help", "metavar", "name", "read", "repeats")

    def __init__(  # noqa: PLR0913 - as many as a row has columns
        self,
        name: str,
        flag: str,
        env: tuple[str, ...],
        *,
        read: Callable[[str], object],
        group: str,
        help: str,  # noqa: A002 - argparse's own word for it
        metavar: str = "",
        repeats: bool = False,
    ) -> None:
        self.name = name
        self.flag = flag
        self.env = env
        self.read = read
        self.group = group
        self.help = help
        self.metavar = metavar
        self.repeats = repeats


def read_text(text: str) -> str:
    """Any text, as it is."""
    return text


def read_seconds(text: str) -> float:
    """A number of seconds, whole or not."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds; write for example 60 or 2.5") from None


def read_count(text: str) -> int:
    """A whole number."""
    try:
        return within_reach(int(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number in reach; write for example 16") from None


UNITS = {"": 1, "K": 1000, "KI": 1 << 10, "M": 1000**2, "MI": 1 << 20, "G": 1000**3, "GI": 1 << 30}


def read_size(text: str) -> int:
    """A size in bytes: 1048576, 1MiB, 64M, 10MB."""
    found = re.fullmatch(r"\s*(\d+)\s*([KMG]I?)?B?\s*", text.upper())
    if not found:
        raise ValueError(f"{text!r} is not a size; write for example 64MiB, 10M or 1048576")
    return within_reach(int(found[1]) * UNITS[found[2] or ""])


def within_reach(number: int) -> int:
    """The number, if the native module can hold it."""
    if abs(number) > sys.maxsize:
        raise ValueError("it is more than this machine can count; write less, for example 1GiB")
    return number


def read_switch(text: str) -> bool:
    """Yes or no, for a flag that takes no value on the command line."""
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"{text!r} is neither yes nor no; write 1 or 0")


LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 100}
LEVEL_SYNONYMS = {
    "warn": "warning",
    "critical": "off",  # nothing here is ever more than an error
    "none": "off",
    "disable": "off",
    "false": "off",
    "0": "off",
}


def read_level(text: str) -> int:
    """A log level by name, in any case; also by the names that mcpgateway.wrapper knew."""
    word = text.strip().lower()
    word = LEVEL_SYNONYMS.get(word, word)
    if word not in LEVELS:
        raise ValueError(f"{text!r} is not a log level; write one of {', '.join(LEVELS)}")
    return LEVELS[word]


def read_format(text: str) -> str:
    """A log format by name."""
    if text not in {"text", "json"}:
        raise ValueError(f"{text!r} is not a log format; write text or json")
    return text


def read_header(text: str) -> Header:
    """`NAME:VALUE`, where `${VARIABLE}` in the value is replaced from the environment.

    The value may be a secret, so no error repeats it.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError("a header is written NAME:VALUE, for example 'X-Team: blue'")

    def lookup(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"{name.strip()}: the environment has no variable {found[1]}; set it")
        return os.environ[found[1]]

    return name.strip(), re.sub(r"\$\{(\w+)\}", lookup, value.strip())


WHERE, LIMITS, TLS, LOGS = "Where to", "Limits", "TLS and proxies", "Logs"
TABLE = (
    Setting(
        "url",
        "URL",
        ("MCP_FERRY_URL",),
        read=read_text,
        group=WHERE,
        metavar="URL",
        help="The server's MCP endpoint, used exactly as given.",
    ),
    Setting(
        "wrapper_url",
        "--url",
        ("MCP_SERVER_URL",),
        read=read_text,
        group=WHERE,
        metavar="URL",
        help="The same in the words of mcpgateway.wrapper, and completed as it did: a last /sse becomes "
        "/mcp, and what does not end in /mcp gets it.",
    ),
    Setting(
        "headers",
        "--header",
        ("MCP_FERRY_HEADERS",),
        read=read_header,
        group=WHERE,
        metavar="NAME:VALUE",
        repeats=True,
        help="A header for every request; may be given several times. ${VARIABLE} in the value is taken from "
        "the environment. In MCP_FERRY_HEADERS, one header a line.",
    ),
    Setting(
        "auth",
        "--auth",
        ("MCP_FERRY_AUTH", "MCP_AUTH"),
        read=read_text,
        group=WHERE,
        metavar="VALUE",
        help="The value of the Authorization header, for example 'Bearer TOKEN'. Prefer the environment: "
        "others on this machine can read a command line.",
    ),
    Setting(
        "token_file",
        "--token-file",
        ("MCP_FERRY_TOKEN_FILE",),
        read=read_text,
        group=WHERE,
        metavar="FILE",
        help="A file with the token, or with the whole Authorization value. It is read again when it "
        "changes, and once when the server refuses the token.",
    ),
    Setting(
        "token_command",
        "--token-command",
        ("MCP_FERRY_TOKEN_COMMAND",),
        read=read_text,
        group=WHERE,
        metavar="COMMAND",
        help="A program and its arguments that print the token, or the whole Authorization value. It is "
        "started without a shell, when a token is first needed and once when the server refuses it.",
    ),
    Setting(
        "transport",
        "--transport",
        ("MCP_FERRY_TRANSPORT",),
        read=read_text,
        group=WHERE,
        metavar="auto|http|sse",
        help="What the server speaks: http is Streamable HTTP, sse the older HTTP+SSE of 2024-11-05; auto "
        "tries the first, then the second.",
    ),
    Setting(
        "timeout",
        "--timeout",
        ("MCP_FERRY_TIMEOUT", "MCP_TOOL_CALL_TIMEOUT"),
        read=read_seconds,
        group=LIMITS,
        metavar="SECONDS",
        help="How long the server may be silent about a request. Progress restarts it.",
    ),
    Setting(
        "connect_timeout",
        "--connect-timeout",
        ("MCP_FERRY_CONNECT_TIMEOUT",),
        read=read_seconds,
        group=LIMITS,
        metavar="SECONDS",
        help="How long one attempt to connect may take.",
    ),
    Setting(
        "concurrency",
        "--concurrency",
        ("MCP_FERRY_CONCURRENCY", "CONCURRENCY"),
        read=read_count,
        group=LIMITS,
        metavar="N",
        help="How many requests may be under way at once.",
    ),
    Setting(
        "max_message_size",
        "--max-message-size",
        ("MCP_FERRY_MAX_MESSAGE_SIZE",),
        read=read_size,
        group=LIMITS,
        metavar="SIZE",
        help="The largest message in either direction, for example 64MiB or 10M.",
    ),
    Setting(
        "ca_cert",
        "--ca-cert",
        ("MCP_FERRY_CA_CERT",),
        read=read_text,
        group=TLS,
        metavar="FILE",
        help="Certificates (PEM) to trust besides those of the system.",
    ),
    Setting(
        "client_cert",
        "--client-cert",
        ("MCP_FERRY_CLIENT_CERT",),
        read=read_text,
        group=TLS,
        metavar="FILE",
        help="The certificate (PEM) to show to the server; its key may be in the same file.",
    ),
    Setting(
        "client_key",
        "--client-key",
        ("MCP_FERRY_CLIENT_KEY",),
        read=read_text,
        group=TLS,
        metavar="FILE",
        help="The private key (PEM) of --client-cert.",
    ),
    Setting(
        "insecure",
        "--insecure",
        ("MCP_FERRY_INSECURE",),
        read=read_switch,
        group=TLS,
        help="Accept any certificate. Whoever is on the way can then read and change everything.",
    ),
    Setting(
        "proxy",
        "--proxy",
        ("MCP_FERRY_PROXY",),
        read=read_text,
        group=TLS,
        metavar="URL",
        help="The proxy to go through. Without it HTTP_PROXY, HTTPS_PROXY and NO_PROXY count, as usual.",
    ),
    Setting(
        "log_level",
        "--log-level",
        ("MCP_FERRY_LOG_LEVEL", "MCP_WRAPPER_LOG_LEVEL"),
        read=read_level,
        group=LOGS,
        metavar="LEVEL",
        help="What to log: debug, info, warning, error or off.",
    ),
    Setting(
        "log_file",
        "--log-file",
        ("MCP_FERRY_LOG_FILE",),
        read=read_text,
        group=LOGS,
        metavar="FILE",
        help="Where to add the log.",
    ),
    Setting(
        "log_format",
        "--log-format",
        ("MCP_FERRY_LOG_FORMAT",),
        read=read_format,
        group=LOGS,
        metavar="text|json",
        help="How to write it, one record a line.",
    ),
)
SHELL_DEFAULTS: dict[str, object] = {"log_level": "warning", "log_file": "stderr", "log_format": "text"}
"""Defaults of what the shell keeps for itself; all others are `_ferry.Config.defaults()`."""


class Found:
    """The values that were given, and for each where it came from, so that an error can name the place."""

    __slots__ = ("sources", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}

    def explain(self, error: ConfigError) -> ConfigError:
        """An error about a setting, in the words of whoever gave the value."""
        return ConfigError(self.sources.get(error.name, error.name), error.message)


def find(flags: Mapping[str, object], environ: Mapping[str, str]) -> Found:
    """Read all settings: `flags` by name as the command line gave them, None or absent where it did not.

    Raises `ConfigError` for what cannot be read; an empty variable counts as none.
    """
    found = Found()
    for row in TABLE:
        words, source = flags.get(row.name), row.flag
        if words is None:
            source = next((name for name in row.env if environ.get(name)), "")
            if not source:
                continue
            words = environ[source]
        found.sources[row.name] = source
        try:
            found.values[row.name] = read_row(row, words)
        except ValueError as error:
            raise ConfigError(source, str(error)) from None
    choose_url(found)
    return found


def read_row(row: Setting, words: object) -> object:
    """The value of one row: a flag's words may be a list or, for a switch, True; a variable's are text."""
    if isinstance(words, bool):
        return words
    if not row.repeats:
        return row.read(str(words))
    several = words if isinstance(words, list) else [line for line in str(words).splitlines() if line.strip()]
    return [row.read(one) for one in several]


def choose_url(found: Found) -> None:
    """Let one way to give the URL win: the command line over the environment, then the exact one."""
    completed, source = found.values.pop("wrapper_url", None), found.sources.pop("wrapper_url", None)
    exact_source = found.sources.get("url")
    if completed is None or source is None:
        return
    if source == "--url" and exact_source == "URL":
        raise ConfigError(source, "the URL was given twice; give it once, as the first argument")
    if exact_source is None or (source == "--url" and exact_source != "URL"):
        found.values["url"], found.sources["url"] = complete_url(completed), source


def complete_url(url: str) -> str:
    """The endpoint that mcpgateway.wrapper would have meant by this URL.

    >>> complete_url("http://localhost:4444/servers/1/sse")
    'http://localhost:4444/servers/1/mcp'
    """
    path, mark, query = url.partition("?")
    if path.endswith("/sse"):
        path = path.removesuffix("/sse") + "/mcp"
    elif not path.endswith(("/mcp", "/mcp/")):
        path = path.rstrip("/") + "/mcp"
    return path + mark + query


def describe(row: Setting, defaults: Mapping[str, object]) -> str:
    """A row's help and, on a line of their own, its variables and default."""
    notes = ["env: " + ", ".join(row.env)]
    if default := show_default(row, defaults):
        notes.append("default: " + default)
    return f"{row.help}\n[{'; '.join(notes)}]"


def show_default(row: Setting, defaults: Mapping[str, object]) -> str:
    """A row's default in words, or nothing where there is none to speak of."""
    value = (dict(defaults) | SHELL_DEFAULTS).get(row.name)
    if not value:
        return ""
    if row.read is read_seconds:
        return f"{value:g} s"
    if row.read is read_size and isinstance(value, int) and value % UNITS["MI"] == 0:
        return f"{value // UNITS['MI']} MiB"
    return str(value)
