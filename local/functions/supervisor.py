"""The host's side of the worker process: start it, send invocations, restart it.

functionTimeout is enforced as by the real host (docs/functions-host.md#timeouts): Python has no cancellation, so the
whole process is killed, every invocation in it fails, and a new process is started. A process that ends by itself is
restarted, too.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.functions import frames, log
from local.functions.errors import StartError
from local.functions.values import Invocation, Outcome

INDEX_SECONDS = 60.0
STOP_SECONDS = 5.0
RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds to wait before a restart, by the number of consecutive processes that ended without a success."""

_ROOT = Path(__file__).parents[2]


class Supervisor:
    """Keep one worker process for an app.

    `environ` is the whole environment of the process; `function_timeout` is in seconds, None for no limit.
    """

    def __init__(self, *, app_dir: Path, environ: Mapping[str, str], function_timeout: float | None) -> None:
        self._app_dir = app_dir
        self._environ = dict(environ)
        # The worker's code is imported from here; the app's folder comes first on its path.
        # As in Azure, the libraries that the app brings along are found before any other.
        libraries = str(app_dir / ".python_packages" / "lib" / "site-packages")
        self._environ["PYTHONPATH"] = os.pathsep.join(filter(None, [libraries, environ.get("PYTHONPATH"), str(_ROOT)]))
        self._function_timeout = function_timeout
        self._process: WorkerProcess | None = None
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed_processes = 0

    async def start(self) -> list[dict[str, Any]]:
        """Start the process and return what it indexed: name, function_id and raw_bindings of each function.

        Raises StartError with the traceback when the app can't be imported.
        """
        self._process, functions = await self._launch()
        if not functions:
            await self._process.close()
            raise StartError(f"There is no function_app.py with functions in {self._app_dir}")
        self._ready.set()
        self._task = asyncio.create_task(self._watch(self._process))
        return functions

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Run a function in the worker; failures of function and process are in the outcome."""
        try:
            async with asyncio.timeout(INDEX_SECONDS):
                process = await self._current()
        except TimeoutError:
            return Outcome(error="The worker process didn't start")
        if process is None:
            return Outcome(error="The host is stopping")
        try:
            async with asyncio.timeout(self._function_timeout):
                outcome = await process.invoke(invocation)
        except TimeoutError:
            log.logger.error(
                log.line("function_timeout", function=invocation.function_name, seconds=self._function_timeout)
            )
            process.kill()
            error = f"Timeout value of {self._function_timeout:g} s exceeded by function: {invocation.function_name}"
            return Outcome(error=error)
        if outcome.ok:
            self._failed_processes = 0
        return outcome

    @property
    def pid(self) -> int | None:
        """Return the id of the current process, None if there is none."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """End the process; running invocations fail."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        process, self._process = self._process, None
        self._ready.set()
        if process is not None:
            await process.close()

    async def _current(self) -> "WorkerProcess | None":
        """Wait for a process that accepts invocations; return None when the host is stopping."""
        while True:
            await self._ready.wait()
            if self._process is None or not self._process.is_ending:
                return self._process
            self._ready.clear()

    async def _watch(self, process: "WorkerProcess") -> None:
        while True:
            code = await process.ended()
            self._ready.clear()
            self._process = None
            delay = RESTART_DELAYS[min(self._failed_processes, len(RESTART_DELAYS) - 1)]
            self._failed_processes += 1
            log.logger.warning(log.line("worker_ended", pid=process.pid, exit_code=code, restart_in_seconds=delay))
            process = await self._relaunch(delay)
            self._process = process
            self._ready.set()
            log.logger.info(log.line("worker_restarted", pid=process.pid))

    async def _relaunch(self, delay: float) -> "WorkerProcess":
        while True:
            await asyncio.sleep(delay)
            try:
                return (await self._launch())[0]
            except (StartError, OSError) as error:
                delay = RESTART_DELAYS[-1]
                log.logger.error(log.line("worker_restart_failed", error=error, restart_in_seconds=delay))

    async def _launch(self) -> tuple["WorkerProcess", list[dict[str, Any]]]:
        process = await WorkerProcess.spawn(app_dir=self._app_dir, environ=self._environ)
        try:
            async with asyncio.timeout(INDEX_SECONDS):
                indexed = await process.index(self._app_dir)
        except BaseException as error:
            await process.close()
            if isinstance(error, TimeoutError):
                raise StartError(f"The app wasn't indexed within {INDEX_SECONDS:g} seconds") from error
            raise
        if indexed["error"]:
            await process.close()
            raise StartError(f"The app can't be indexed: {indexed['error']}\n{indexed.get('stack', '')}".rstrip())
        return process, indexed["functions"]


class WorkerProcess:
    """One worker process, the socket to it, and the invocations that it hasn't answered."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.is_ending = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def spawn(cls, *, app_dir: Path, environ: Mapping[str, str]) -> "WorkerProcess":
        """Start the process in the app's folder, with its output on the host's stderr."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                # -P: a module of the app, called `http` for example, must not replace what the worker imports.
                *("-P", "-m", "local.functions.worker", str(theirs.fileno()), str(os.getpid())),
                cwd=app_dir,
                env=dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                # The host's stdout is for its ready line; output of the app is log, as in Azure.
                stdout=2,
                pass_fds=(theirs.fileno(),),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, *await asyncio.open_connection(sock=ours))

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def index(self, app_dir: Path) -> dict[str, Any]:
        """Import the app and return the description of its functions."""
        return await self._ask("", {"kind": "index", "app_dir": str(app_dir)})

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Run one function and wait for its outcome, without a time limit."""
        answer = await self._ask(invocation.id, invocation.to_wire())
        return Outcome.from_wire(answer)

    async def ended(self) -> int:
        """Wait until the process has ended and every invocation has its outcome; return the exit code."""
        # Not awaited directly: cancelling this wait must not cancel the reading.
        await asyncio.wait([self._reading])
        return await self._process.wait()

    def kill(self) -> None:
        """Kill the process."""
        self.is_ending = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """End the process and wait until it has ended."""
        self._writer.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
        await self.ended()

    async def _ask(self, identifier: str, message: dict[str, Any]) -> dict[str, Any]:
        if self._reading.done():
            return _gone(identifier)
        answer = asyncio.get_running_loop().create_future()
        self._pending[identifier] = answer
        try:
            with contextlib.suppress(ConnectionError):
                self._writer.write(frames.encode(message))
                await self._writer.drain()
            result: dict[str, Any] = await answer
            return result
        finally:
            self._pending.pop(identifier, None)

    async def _read(self) -> None:
        while (message := await frames.read(self._reader)) is not None:
            waiting = self._pending.get(message.get("id", ""))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        # Killed first: if a worker closed its socket and continued, a function could run twice at the same time.
        self.kill()
        await self._process.wait()
        for identifier, waiting in self._pending.items():
            if not waiting.done():
                waiting.set_result(_gone(identifier))
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _gone(identifier: str) -> dict[str, Any]:
    error = "The worker process ended"
    return {"kind": "result", "id": identifier, "error": error, "stack": "", "returned": None, "outputs": {}}
