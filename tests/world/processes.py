"""Server processes: awaited by what they print, and ended with all their children."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ferry import clean_environment

START_UP = 120.0
"""Seconds until a server that has not said that it is ready counts as failed."""

FAREWELL = 10.0
"""Seconds that a server gets to end by itself."""


class Server:
    """A running server process.

    It is ready when a line that it prints matches `ready`; the match is kept as `announcement`. All that it
    prints goes to `log`, one life after the other.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        ready: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start the process and wait until it is ready; an `AssertionError` says why it never was."""
        self._command = [str(word) for word in command]
        self._ready = re.compile(ready)
        self._log = log
        self._env = clean_environment(env)
        self._cwd = cwd
        self.start()

    def start(self) -> None:
        """Start the process, the first time or after `kill`, and wait until it is ready."""
        self._last: deque[str] = deque(maxlen=30)
        self._announced = threading.Event()
        self._announcement: re.Match[str] | None = None
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._announced.wait(START_UP)
        if self._announcement is None:
            self.close()
            raise AssertionError(
                "\n".join([f"{self._command[0]} never was ready ({self._log}):", *self._last])
            )

    def __enter__(self) -> Self:
        """Hold the server for the length of a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server."""
        self.close()

    @property
    def announcement(self) -> re.Match[str]:
        """The line that said that the server is ready."""
        assert self._announcement is not None
        return self._announcement

    def close(self) -> None:
        """End the whole process group: first asked, then told."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL)
        self.kill()

    def kill(self) -> None:
        """End the whole process group without a word of warning."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _read(self) -> None:
        """Take what the server prints, so that it never waits for a reader."""
        assert self._process.stdout is not None
        with self._log.open("a") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                self._last.append(line.rstrip())
                if self._announcement is None:
                    self._announcement = self._ready.search(line)
                    if self._announcement is not None:
                        self._announced.set()
        self._announced.set()


def free_port() -> int:
    """A loopback port that nobody listens on, for servers that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
