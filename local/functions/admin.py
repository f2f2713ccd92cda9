"""The host's own endpoints under `/admin` (functions-host 7)."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from local.functions import bindings, http_trigger, timer_trigger
from local.functions.invoker import Invoker
from local.functions.metadata import Function
from local.functions.values import TypedData

VERSION = "4.local"


class Admin:
    """Answer `/admin/host/status`, `/admin/host/ping`, `/admin/functions` and `/admin/functions/{name}`."""

    def __init__(self, functions: Sequence[Function], *, invoker: Invoker, host_id: str) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._invoker = invoker
        self._host_id = host_id
        # A run started here is not awaited by its request; the loop itself keeps only weak references.
        self._tasks: set[asyncio.Task[Any]] = set()

    async def answer(self, request: web.Request, path: Sequence[str]) -> web.Response:
        """Answer a request; `path` are the segments after `admin`."""
        match (request.method, [segment.lower() for segment in path]):
            case ("GET", ["host", "status"]):
                return web.json_response(self._status())
            case ("GET" | "POST", ["host", "ping"]):
                return web.Response()
            case ("GET", ["functions"]):
                return web.json_response([self._describe(f, request) for f in self._functions.values()])
            case ("GET", ["functions", name]) if name in self._functions:
                return web.json_response(self._describe(self._functions[name], request))
            case ("POST", ["functions", name]) if name in self._functions:
                return await self._run(self._functions[name], request)
        return web.Response(status=404)

    def _status(self) -> Mapping[str, Any]:
        return {"id": self._host_id, "state": "Running", "version": VERSION, "versionDetails": VERSION, "errors": []}

    def _describe(self, function: Function, request: web.Request) -> Mapping[str, Any]:
        every = [function.trigger, *function.outputs]
        return {
            "name": function.name,
            "href": f"{request.scheme}://{request.host}/admin/functions/{function.name}",
            "language": "python",
            "isDisabled": function.is_disabled,
            "config": {"bindings": [dict(binding.properties) for binding in every]},
        }

    async def _run(self, function: Function, request: web.Request) -> web.Response:
        try:
            given = json.loads(await http_trigger.read_body(request) or b"")["input"]
            text = given if isinstance(given, str) else json.dumps(given)
            data, metadata = trigger_data(function, text)
        except (ValueError, LookupError, TypeError):
            return web.Response(status=400)
        task = asyncio.create_task(self._invoker.run(function, data, metadata=metadata))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response(status=202)


def trigger_data(function: Function, text: str) -> tuple[TypedData, dict[str, TypedData]]:
    """Turn the input of a manual run into trigger data and metadata; ValueError when it can't be."""
    match function.trigger.type:
        case "eventGridTrigger":
            event = json.loads(text)
            if not isinstance(event, dict):
                raise ValueError("an event is a JSON object")
            return TypedData("json", json.dumps(event, ensure_ascii=False)), bindings.event_grid_data(event)
        case "queueTrigger":
            return TypedData("string", text), bindings.lay_over({"QueueTrigger": TypedData("string", text)}, text)
        case "timerTrigger":
            return timer_trigger.to_data(None, is_past_due=False), {}
        case _:
            pass
    raise ValueError("an HTTP function is called by its route")
