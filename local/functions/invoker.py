"""One run of a function: the worker, then the output bindings, then the outcome.

Outputs are written after the function has returned. A failed write makes the run fail (docs/functions-host.md#queue),
so the queue trigger deletes its message only after all outputs are written.
"""

import asyncio
import base64
import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

from local.functions import bindings, log
from local.functions.errors import StartError
from local.functions.metadata import Binding, Function
from local.functions.storage import Storage
from local.functions.supervisor import Supervisor
from local.functions.values import Invocation, Outcome, TypedData


class Invoker:
    """Run functions and count those that are running."""

    def __init__(self, *, supervisor: Supervisor, storage: Storage, base64_messages: bool) -> None:
        self._supervisor = supervisor
        self._storage = storage
        self._base64 = base64_messages
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._watchers: dict[tuple[str, str], Callable[[], None]] = {}

    def watch(self, queue: str, *, connection: str, wake: Callable[[], None]) -> None:
        """Call `wake` whenever an output is sent to this queue, as the SDK's SharedQueueWatcher does."""
        self._watchers[connection, queue] = wake

    async def run(
        self, function: Function, data: TypedData, *, metadata: Mapping[str, TypedData] | None = None
    ) -> Outcome:
        """Run a function with the data of its trigger; every failure is logged and is in the outcome."""
        started = time.monotonic()
        identifier = str(uuid.uuid4())
        self._running += 1
        self._idle.clear()
        try:
            inputs = {function.trigger.name: data}
            outcome = await self._supervisor.invoke(
                Invocation(identifier, function.id, function.name, inputs, metadata or {})
            )
            if outcome.ok:
                outcome = await self._write_outputs(function, outcome)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
        fields = {"function": function.name, "invocation_id": identifier}
        milliseconds = round((time.monotonic() - started) * 1000)
        if outcome.ok:
            log.logger.info(log.line("invocation_succeeded", **fields, milliseconds=milliseconds))
        else:
            line = log.line("invocation_failed", **fields, milliseconds=milliseconds, error=outcome.error)
            log.logger.error("\n".join(filter(None, [line, outcome.stack.rstrip()])))
        return outcome

    async def idle(self, *, within: float) -> bool:
        """Wait until nothing runs; return False if something still runs after so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _write_outputs(self, function: Function, outcome: Outcome) -> Outcome:
        for binding in function.outputs:
            data = outcome.returned if binding.name == "$return" else outcome.outputs.get(binding.name)
            if binding.type != "queue" or data is None:
                continue
            try:
                await self._enqueue(binding, data)
            except (AzureError, StartError, ValueError) as error:
                return replace(outcome, error=f"Output {binding.name} of {function.name} couldn't be written: {error}")
        return outcome

    async def _enqueue(self, binding: Binding, data: TypedData) -> None:
        name, connection = binding.text("queueName"), binding.text("connection")
        queue = await self._storage.queue(name, connection=connection)
        for body in bindings.queue_messages(data):
            text = base64.b64encode(body).decode() if self._base64 else body.decode()
            try:
                await queue.send_message(text)
            except ResourceNotFoundError:
                # Another invocation may have created it in the meantime.
                with contextlib.suppress(ResourceExistsError):
                    await queue.create_queue()
                await queue.send_message(text)
        if (wake := self._watchers.get((connection, name))) is not None:
            wake()
