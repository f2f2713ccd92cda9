"""The Functions hosts of a soak run: killed at planned moments and restarted, with a second one at times."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator

import psutil

from local.loopback import free_port, wait_until_ok
from local.process import Process, ProcessError
from local.soak.plan import Kill, Shift
from local.soak.source import SoakError, Source, request
from local.stack import READY_SECONDS, Stack

WEBHOOK = "/runtime/webhooks/eventgrid?functionName=receive_event"
SECOND = "second-host"
WORKER = "local.functions.worker"
# The commit of an archive copy: it is done, and its answer comes so late that the worker is killed before.
COPIED = {
    "kind": "lateAnswer",
    "operation": "PutBlockList",
    "path": "*-archive/*/chunks/*",
    "seconds": 5,
}
COPIED_LOOKS, COPIED_SECONDS = 100, 0.2


class Hosts:
    """Keep the hosts of the app running: the stack's own and, in its shifts, a second one.

    Every start of a host has its own host id, so that two hosts run the timer at the same time instead of sharing one
    lease, and none waits for the lease of a killed host.
    """

    def __init__(self, stack: Stack, source: Source) -> None:
        self._stack = stack
        self._source = source
        self._first = stack.app
        self._first_port = int(stack.app_url.rpartition(":")[2])
        self._second: Process | None = None
        self.starts = 0
        self.second_hosts = 0
        # A lock: a host must not be killed while it is being restarted.
        self._busy = asyncio.Lock()
        self._calm = asyncio.Event()
        self.kills: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Return the number of hosts that should be running."""
        return 1 if self._second is None else 2

    async def aclose(self) -> None:
        """End the hosts that were started here."""
        await self._stop_second()
        await self._first.stop()

    def calm(self) -> None:
        """Start no more kills and shifts; those in progress are completed."""
        self._calm.set()

    async def kill_on(self, kills: Iterator[Kill]) -> None:
        """Kill and restart as planned, until the end of the plan or until `calm`."""
        for kill in kills:
            if await self._pause(kill.after_seconds):
                return
            async with self._busy:
                is_second = self._second is not None and kill.choice < 0.5
                await self._kill(kill, is_second=is_second)

    async def work_shifts(self, shifts: Iterator[Shift]) -> None:
        """Run a second host as planned, until `calm`; stop it afterwards."""
        try:
            for shift in shifts:
                if await self._pause(shift.off_seconds):
                    return
                async with self._busy:
                    await self._start_second()
                await self._pause(shift.on_seconds)
                async with self._busy:
                    if shift.is_killed and self._second is not None:
                        self._kill_process(self._second, "second host")
                    await self._stop_second()
        finally:
            await self._stop_second()

    def check(self) -> None:
        """Raise ProcessError when a host has ended without being killed."""
        if self._busy.locked():
            return
        for host in (self._first, self._second):
            if host is not None and host.returncode is not None:
                raise ProcessError(f"{host.name} ended by itself with status {host.returncode}; its log is {host.log}")

    async def _pause(self, seconds: float) -> bool:
        """Wait; return True as soon as `calm` was called."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calm.wait(), seconds)
        return self._calm.is_set()

    async def _kill(self, kill: Kill, *, is_second: bool) -> None:
        host = self._second if is_second and self._second is not None else self._first
        if kill.target == "worker":
            self.kills["worker"] += await _kill_worker(host)
            return
        if kill.target == "archiver":
            if await self._is_copied():
                # Both: which of them has made the copy can't be seen.
                hosts = [one for one in (self._first, self._second) if one is not None]
                self.kills["between copy and proof"] += any([await _kill_worker(one) for one in hosts])
            return
        self._kill_process(host, "host")
        await host.stop()
        await asyncio.sleep(kill.down_seconds)
        port = int(self._second_url.rpartition(":")[2]) if is_second else self._first_port
        again = await self._start(port)
        if is_second:
            self._second = again
        else:
            self._first = again

    async def _is_copied(self) -> bool:
        """Wait for the next commit of an archive copy, whose answer is held back; return False if there is none."""
        if not self._stack.storage_control_url:
            return False
        rules = f"{self._stack.storage_control_url}/faults"
        await request(self._source.session, "POST", rules, COPIED, status=201)
        try:
            for _ in range(COPIED_LOOKS):
                if any(rule["applied"] for rule in (await request(self._source.session, "GET", rules))["faults"]):
                    await asyncio.sleep(COPIED_SECONDS)
                    return True
                await asyncio.sleep(COPIED_SECONDS)
            return False
        finally:
            await request(self._source.session, "DELETE", rules)

    def _kill_process(self, host: Process, name: str) -> None:
        self.kills[name] += 1
        # Only the host: its worker has to notice by itself.
        with contextlib.suppress(ProcessLookupError):
            os.kill(host.pid, signal.SIGKILL)

    async def _start(self, port: int) -> Process:
        self.starts += 1
        host = self._stack.build_host(
            port,
            log=f"functions-{self.starts:03}.log",
            settings={"AzureFunctionsWebHost__hostid": f"soak-{self.starts}"},
        )
        try:
            await host.start()
            await wait_until_ok(host, f"http://127.0.0.1:{port}/health", seconds=READY_SECONDS)
        except BaseException:
            await host.stop()
            raise
        return host

    async def _start_second(self) -> None:
        port = await asyncio.to_thread(free_port)
        self._second_url = f"http://127.0.0.1:{port}"
        self._second = await self._start(port)
        self.second_hosts += 1
        # It gets the same events in the other schema.
        body = {
            "name": SECOND,
            "endpoint": self._second_url + WEBHOOK,
            "eventDeliverySchema": "CloudEventSchemaV1_0",
            "maxEventsPerBatch": 5,
            "timeScale": 0.01,
        }
        with contextlib.suppress(SoakError):
            await self._source.control("POST", "/subscriptions", body, status=201)

    async def _stop_second(self) -> None:
        second, self._second = self._second, None
        if second is not None:
            # Whatever is still to be delivered to it goes to the first host as well.
            with contextlib.suppress(SoakError):
                await self._source.control("DELETE", f"/subscriptions/{SECOND}")
            await second.stop()


async def _kill_worker(host: Process) -> bool:
    """Kill the worker of a host; return False if it has none."""
    pid = await asyncio.to_thread(_worker, host.pid)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


def _worker(host: int) -> int | None:
    """Return the worker process of a host, None if there is none."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(host).children():
            if WORKER in child.cmdline():
                return int(child.pid)
    return None
