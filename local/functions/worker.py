"""The worker process: run the app on azure-functions-runtime, the library that runs it in Azure.

The host starts it as `python -m local.functions.worker FD HOST_PID` in the app's folder; FD is its end of a socket
pair. It handles every message of the host in a task of its own, so invocations run concurrently in one event loop, as
in Azure. It ends when the socket closes, and on Linux when the host dies.

See docs/functions-host.md#runtime-driver.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import traceback
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
import uvloop

from local.functions import frames, protos
from local.functions.log import UtcFormatter

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Serve the host on the inherited file descriptor until it closes."""
    _die_with(int(arguments[1]))
    connection = socket.socket(fileno=int(arguments[0]))
    names: dict[str, str] = {}
    _configure_logging(names)
    # The event loop of Azure's worker (docs/functions-host.md#python-worker).
    asyncio.run(_serve(connection, names=names), loop_factory=uvloop.new_event_loop)


def request_of(name: str, message: object) -> SimpleNamespace:
    """Wrap a message in the argument that the library's coroutines expect."""
    return SimpleNamespace(
        name=name, request=SimpleNamespace(**{name: message}), properties={"host": "127.0.0.1", "protos": protos}
    )


def to_proto(data: list[Any]) -> protos.TypedData:
    """Convert data from a frame to the type that the library expects."""
    kind, value = data
    if kind != "http":
        return protos.TypedData(**{kind: value})
    # The library reads the kind of the body, so "no body" is an empty TypedData, not None.
    body = protos.TypedData() if value["body"] is None else protos.TypedData(bytes=value["body"])
    return protos.TypedData(http=protos.RpcHttp(**{**value, "body": body}))


def from_proto(data: protos.TypedData | None) -> list[Any] | None:
    """Convert what the library returns to data for a frame; None when there is none."""
    kind = None if data is None else data.WhichOneof("data")
    if data is None or kind is None:
        return None
    value = getattr(data, kind)
    if kind in ("int", "double"):
        return ["json", str(value)]
    if kind != "http":
        return [kind, value]
    body = from_proto(value.body)
    content = b"" if body is None else body[1] if isinstance(body[1], bytes) else body[1].encode()
    return ["http", {"status": value.status_code, "headers": value.headers, "body": content}]


async def _serve(connection: socket.socket, *, names: dict[str, str]) -> None:
    # Both may be sent to the whole process group; the host decides how long running functions may continue.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    reader, writer = await asyncio.open_connection(sock=connection)
    tasks: set[asyncio.Task[None]] = set()

    async def answer(message: dict[str, Any]) -> None:
        reply = await (_index(message) if message["kind"] == "index" else _invoke(message, names=names))
        with contextlib.suppress(ConnectionError):
            writer.write(frames.encode(reply))
            await writer.drain()

    while (message := await frames.read(reader)) is not None:
        task = asyncio.create_task(answer(message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    _leave()


async def _index(message: dict[str, Any]) -> dict[str, Any]:
    directory = message["app_dir"]
    sys.path[:] = [directory, *(entry for entry in sys.path if entry != directory)]
    init = SimpleNamespace(capabilities={}, function_app_directory=directory)
    answer = await runtime.worker_init_request(request_of("worker_init_request", init))
    if answer.result.status != protos.StatusResult.Success:
        return {
            "kind": "indexed",
            "error": answer.result.exception.message,
            "stack": answer.result.exception.stack_trace,
        }
    runtime.start_threadpool_executor()
    metadata = await runtime.functions_metadata_request(request_of("functions_metadata_request", SimpleNamespace()))
    functions = metadata.function_metadata_results or []
    for function in functions:
        load = SimpleNamespace(function_id=function.function_id)
        await runtime.function_load_request(request_of("function_load_request", load))
    described = [
        {"name": f.name, "function_id": f.function_id, "raw_bindings": list(f.raw_bindings)} for f in functions
    ]
    return {"kind": "indexed", "error": "", "functions": described}


async def _invoke(message: dict[str, Any], *, names: dict[str, str]) -> dict[str, Any]:
    identifier: str = message["id"]
    names[identifier] = message["function_name"]
    runtime.invocation_id_cv.set(identifier)
    invocation = SimpleNamespace(
        invocation_id=identifier,
        function_id=message["function_id"],
        input_data=[
            protos.ParameterBinding(name=name, data=to_proto(data)) for name, data in message["inputs"].items()
        ],
        trigger_metadata={name: to_proto(data) for name, data in message["metadata"].items()},
        trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
    )
    reply: dict[str, Any] = {"kind": "result", "id": identifier, "error": "", "stack": "", "returned": None}
    try:
        answer = await runtime.invocation_request(request_of("invocation_request", invocation))
        if answer.result.status != protos.StatusResult.Success:
            failure = answer.result.exception
            return {**reply, "error": failure.message, "stack": failure.stack_trace, "outputs": {}}
        outputs = {output.name: from_proto(output.data) for output in answer.output_data or []}
        present = {name: data for name, data in outputs.items() if data is not None}
        return {**reply, "returned": from_proto(answer.return_value), "outputs": present}
    except Exception as error:
        # For example, a header that isn't text: the library doesn't check it, and a frame can't contain it.
        message_text = f"{type(error).__name__}: {error}"
        return {**reply, "error": message_text, "stack": traceback.format_exc(), "outputs": {}}
    finally:
        del names[identifier]


def _leave() -> None:
    """Exit at once: tasks and threads of the app must not outlive the host."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        logging.shutdown()
    os._exit(0)


def _configure_logging(names: dict[str, str]) -> None:
    """Send the app's log to stderr with level and function name, as on the host's console."""

    def name_function(record: logging.LogRecord) -> bool:
        record.function = names.get(runtime.invocation_id_cv.get() or "", "app")
        # Azure doesn't show the system logs of the platform to the customer (docs/functions-host.md#python-worker).
        return not record.name.startswith(("azure.functions", "azure_functions"))

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(name_function)
    handler.setFormatter(UtcFormatter("%(asctime)s %(levelname)s %(function)s: %(message)s"))
    debug = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").lower() in ("1", "true", "t", "yes", "y")
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler])


def _die_with(host_pid: int) -> None:
    """Let Linux kill this process when the host dies, even while the app blocks the event loop."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != host_pid:
        sys.exit("The host has ended.")


if __name__ == "__main__":
    main(sys.argv[1:])
