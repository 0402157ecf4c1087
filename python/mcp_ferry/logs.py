"""Log records: from the native module, through Python's `logging`, to stderr or a file.

The native module calls back from a thread of its own, for records that pass the level and for nothing else.
`logging` is imported with the first of them: a run without any does not pay for it. Whoever reads
stderr may be gone, slow, or never have been there; a record that cannot be written is lost, and that is all.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

STDERR = 2
ROOT = "mcp_ferry"


class Log:
    """Where records go and how they look. Opening a file that cannot be written raises OSError."""

    __slots__ = ("_descriptor", "_format", "_ready", "level")

    def __init__(self, level: int, file: str | None, style: str) -> None:
        self.level = level
        self._format = format_json if style == "json" else format_text
        self._ready = False
        self._descriptor = STDERR
        if file is not None:
            self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def record(self, level: int, logger: str, message: str, fields: dict[str, str]) -> None:
        """Take in one record. Never raises and never waits for another thread."""
        if level < self.level:
            return
        try:
            import logging

            if not self._ready:
                self._install(logging.getLogger(ROOT))
            logging.getLogger(logger).log(level, message, extra={"fields": fields})
        except Exception:  # noqa: BLE001, S110 - a bridge does not die of its log
            pass

    def caution(self, message: str) -> None:
        """Log a warning of the shell's own, from the main thread, which must not wait for a full pipe."""
        if takes_bytes(self._descriptor):
            self.record(30, ROOT + ".cli", message, {})

    def _install(self, root: logging.Logger) -> None:
        import logging

        log = self

        class LineHandler(logging.Handler):
            """Writes each record with one system call."""

            def createLock(self) -> None:  # noqa: N802 - logging's name
                # No lock: a write that waits for a full pipe would hold it, and with it the end.
                self.lock = None

            def emit(self, record: logging.LogRecord) -> None:
                try:
                    os.write(log._descriptor, log._format(record).encode(errors="replace") + b"\n")
                except OSError:
                    pass

        root.addHandler(LineHandler())
        root.setLevel(self.level)
        root.propagate = False
        self._ready = True


def say(line: str) -> None:
    """Write one line to stderr, if that is possible right now."""
    try:
        if takes_bytes(STDERR):
            os.write(STDERR, printable(line).encode(errors="replace") + b"\n")
    except OSError:
        pass


def takes_bytes(descriptor: int) -> bool:
    """Whether a write would not wait."""
    import select

    readiness = select.poll()
    readiness.register(descriptor, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in readiness.poll(0))


def format_text(record: logging.LogRecord) -> str:
    """`time level part message key=value …` with everything that a terminal would act on escaped."""
    words = [timestamp(record.created), record.levelname.lower(), record.name.removeprefix(ROOT + ".")]
    words.append(printable(record.getMessage()))
    words += [f"{printable(name)}={quoted(value)}" for name, value in sorted(fields_of(record).items())]
    return " ".join(words)


def format_json(record: logging.LogRecord) -> str:
    """The same as one JSON object."""
    import json

    return json.dumps(
        {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "fields": fields_of(record),
        }
    )


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """The key-values of a record; one that was logged by other means has none."""
    fields: dict[str, str] = getattr(record, "fields", {})
    return fields


def timestamp(seconds: float) -> str:
    """A time in UTC, to the millisecond: 2026-01-31T12:00:00.250Z."""
    import time

    whole, part = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:03}Z"


def printable(text: str) -> str:
    """The text on one line, with control characters as escapes: some of it comes from servers."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text
    )


def quoted(value: str) -> str:
    """A field's value, in quotes where it would not read as one word."""
    shown = printable(value)
    if shown and not set(shown) & set(" \"'="):
        return shown
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
