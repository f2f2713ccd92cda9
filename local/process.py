"""A program of the local stack: start it, watch its log, stop it.

The output goes straight into a log file, not through a pipe, so that a reader never blocks the program and its last
output is kept. Each program leads a process group of its own: stopping it also stops what it has started, and Ctrl-C in
a terminal reaches only the program that started the stack, which then ends the others in order.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

TAIL_LINES = 15
POLL_SECONDS = 0.05


class ProcessError(RuntimeError):
    """A program of the local stack ended, or wasn't ready in time."""


class Process:
    """Run one program in a process group of its own, with its output in `log`.

    As an async context manager it is started on entry and ended on exit.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = environment
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """Return the process id, which is also the id of its group."""
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        """Return the exit status, None while the program runs."""
        return self._running().returncode

    async def start(self) -> None:
        """Start the program with an empty log."""
        with await asyncio.to_thread(self._open_log) as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )

    async def wait_for(self, pattern: str, *, seconds: float) -> re.Match[str]:
        """Wait until the log has a match of `pattern`, at most `seconds`, and return the match.

        Raises ProcessError with the last lines of the log when the program ends or the time is over.
        """
        expression = re.compile(pattern, re.MULTILINE)
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            # Checked before the log: when the program has ended, its log is complete.
            ended = self.returncode is not None
            if found := expression.search(await self.output()):
                return found
            if ended:
                raise await self.error(f"ended with status {self.returncode}")
            if asyncio.get_running_loop().time() > deadline:
                raise await self.error(f"wasn't ready after {seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def output(self) -> str:
        """Return what the program has written so far."""
        return await asyncio.to_thread(self.log.read_text, errors="replace")

    async def error(self, reason: str) -> ProcessError:
        """Return an error with `reason`, the name of the log and its last lines."""
        tail = "\n".join(f"    {line}" for line in (await self.output()).splitlines()[-TAIL_LINES:])
        return ProcessError(f"{self.name} {reason}; its log is {self.log}" + (f" and ends:\n{tail}" if tail else ""))

    async def stop(self, *, grace_seconds: float = 8.0) -> None:
        """Stop the program and what it has started; kill them after `grace_seconds`."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace_seconds)
        # Always sent: a worker may have outlived the leader of the group.
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ProcessError(f"{self.name} hasn't been started")
        return self._process

    def _open_log(self) -> BinaryIO:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        return self.log.open("wb")


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
