"""The Event Grid webhook: `/runtime/webhooks/eventgrid?functionName=NAME` (docs/functions-host.md#event-grid).

Each event is an invocation, and all run at the same time. When all have ended the answer is 202, or 500 if any failed;
then Event Grid sends the whole batch again.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.functions import bindings, http_trigger
from local.functions.invoker import Invoker
from local.functions.metadata import Function
from local.functions.values import TypedData

_ORIGINS = ("eventgrid.azure.net", "eventgrid.azure.us", "eventgrid.azure.cn")


async def answer(request: web.Request, *, functions: Mapping[str, Function], invoker: Invoker) -> web.Response:
    """Answer one request to the webhook; `functions` are the app's Event Grid functions by name."""
    query = http_trigger.query_values(http_trigger.split_target(request.raw_path)[1])
    name = next((value for key, value in query.items() if key.lower() == "functionname"), "")
    function = functions.get(name)
    if function is None:
        return web.Response(status=404, text=f"cannot find function: '{name}'")
    if request.method == "OPTIONS":
        origin = request.headers.get("WebHook-Request-Origin", "")
        allowed = origin if origin.lower() in _ORIGINS else _ORIGINS[0]
        return web.Response(headers={"Webhook-Allowed-Origin": allowed})
    kind = request.headers.get("aeg-event-type", "").lower()
    if kind == "unsubscribe":
        return web.Response(status=202)
    if kind not in ("subscriptionvalidation", "notification"):
        return web.Response(status=400)
    try:
        content = json.loads(await http_trigger.read_body(request) or b"")
        events = content if isinstance(content, list) else [content]
        if kind == "subscriptionvalidation":
            return web.json_response({"validationResponse": _validation_code(events[0])})
    except (ValueError, LookupError, TypeError):
        return web.Response(status=500)
    if not all(isinstance(event, dict) for event in events):
        return web.Response(status=500)
    outcomes = await asyncio.gather(*(_run(event, function, invoker) for event in events))
    if all(outcomes):
        return web.Response(status=202)
    return web.Response(status=500, text=f"Exception while executing function: Functions.{name}")


async def _run(event: dict[str, Any], function: Function, invoker: Invoker) -> bool:
    data = TypedData("json", json.dumps(event, ensure_ascii=False))
    outcome = await invoker.run(function, data, metadata=bindings.event_grid_data(event))
    return outcome.ok


def _validation_code(event: Mapping[str, Any]) -> str:
    data = event["data"]
    # In the CloudEvents version of the old handshake `data` is JSON inside a string.
    code: str = (json.loads(data) if isinstance(data, str) else data)["validationCode"]
    return code
