"""A child process, held by its pipes from an event loop: lines in, lines out.

asyncio's own subprocesses put a socket in the place of stdin and two layers before each line. What is
measured here is what a client sees of a pipe, at as little cost of this side as can be.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections import deque
from typing import IO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CHUNK = 1 << 18
"""Bytes that are read at once."""
TAIL = 5
"""Lines of stderr that are kept."""
GRACE = 10.0
"""Seconds that a process which was told to end has for it."""


class Child:
    """A running process.

    `on_line` gets each line of stdout without its end, `on_end` is called once when there are no more.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[bytes], object],
        on_end: Callable[[], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_line, self._on_end = on_line, on_end
        # A session of its own: Ctrl-C is for us, and we tell the children what follows from it.
        self._process = subprocess.Popen(  # noqa: S603 - the ferry, as it is installed
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        made = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._pipes = [pipe for pipe in made if pipe is not None]
        self._stdin, self._stdout, self._stderr = map(unblocked, self._pipes)
        self._unwritten = bytearray()
        self._unread = bytearray()
        self._closing = False
        self.complaints: deque[str] = deque(maxlen=TAIL)
        """The last lines of stderr."""
        self._drained = asyncio.Event()
        self._loop.add_reader(self._stdout, self._read)
        self._loop.add_reader(self._stderr, self._read_complaints)

    def write(self, data: bytes) -> None:
        """Write bytes, now or as soon as the pipe takes them; after the end of stdin, nowhere."""
        if self._closing:
            return
        if not self._unwritten:
            data = data[self._write_some(data) :]
            if data:
                self._loop.add_writer(self._stdin, self._write_on)
        self._unwritten += data

    def close_stdin(self) -> None:
        """Say that nothing more comes, once what was written is through."""
        self._closing = True
        if not self._unwritten:
            self._pipes[0].close()

    async def end(self, *, at_once: bool) -> int:
        """The exit status, after the end: by itself if it still owes something, else by a signal."""
        if at_once:
            self._process.terminate()
        elif not self._closing:
            self.close_stdin()
        try:
            async with asyncio.timeout(GRACE):
                await self._drained.wait()
        except TimeoutError:
            self._process.kill()
            await self._drained.wait()
        status = await asyncio.to_thread(self._process.wait)
        for descriptor in (self._stdin, self._stdout, self._stderr):
            self._loop.remove_reader(descriptor)
        for pipe in self._pipes:
            pipe.close()
        return status

    def _write_some(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0
        except OSError:  # it has ended, and its stdout tells so
            return len(data)

    def _write_on(self) -> None:
        del self._unwritten[: self._write_some(self._unwritten)]
        if not self._unwritten:
            self._loop.remove_writer(self._stdin)
            if self._closing:
                self.close_stdin()

    def _read(self) -> None:
        try:
            data = os.read(self._stdout, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._stdout)
            self._on_end()
            self._drained.set()
            return
        if b"\n" not in data:
            self._unread += data
            return
        *lines, rest = (bytes(self._unread) + data if self._unread else data).split(b"\n")
        self._unread[:] = rest
        for line in lines:
            self._on_line(line)

    def _read_complaints(self) -> None:
        try:
            data = os.read(self._stderr, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._stderr)
        lines = data.decode(errors="replace").splitlines()
        self.complaints.extend(line for line in lines if line)


def unblocked(pipe: IO[bytes]) -> int:
    """The descriptor of our end of a pipe, made so that it never blocks."""
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()
