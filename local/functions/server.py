"""The HTTP server of the host: its own endpoint first, then the app's routes by name of function.

See docs/functions-host.md#http.
"""

from collections.abc import Mapping, Sequence

from aiohttp import web

from local.functions import event_grid, http_trigger, log
from local.functions.invoker import Invoker
from local.functions.metadata import Function
from local.functions.routes import compile_route, decode_path, find

TARGET_LIMIT = 8192
"""Bytes of path and query (Kestrel's MaxRequestLineSize); a longer target gets a 414."""


class Server:
    """Answer every request: `/runtime/webhooks/eventgrid`, the app's functions."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        route_prefix: str,
        invoker: Invoker,
        settings: Mapping[str, str],
    ) -> None:
        self._invoker = invoker
        self._http = {function.name: function for function in functions if function.trigger.type == "httpTrigger"}
        self._event_grid = {f.name: f for f in functions if f.trigger.type == "eventGridTrigger"}
        self._body_limit = int(settings.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", http_trigger.BODY_LIMIT))
        self._routes = [
            compile_route(
                "/".join(filter(None, [route_prefix, (function.trigger.text("route") or name).strip("/")])),
                methods=function.trigger.properties.get("methods") or (),
                target=name,
            )
            for name, function in self._http.items()
        ]

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=self._body_limit)
        # Line breaks, too, which `.` is not.
        application.router.add_route("*", r"/{tail:[\s\S]*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        except Exception as error:
            log.logger.exception(log.line("request_failed", method=request.method, error=error))
            return web.Response(status=500)

    async def _dispatch(self, request: web.Request) -> web.Response:
        if len(request.raw_path) > TARGET_LIMIT:
            return web.Response(status=414)
        if (request.content_length or 0) > self._body_limit:
            return web.Response(status=413)
        path = decode_path(http_trigger.split_target(request.raw_path)[0])
        if "\0" in path:
            return web.Response(status=400)
        match path.strip("/").split("/"):
            case [first, *rest] if first.lower() == "runtime":
                if [segment.lower() for segment in rest] != ["webhooks", "eventgrid"]:
                    return web.Response(status=404)
                return await event_grid.answer(request, functions=self._event_grid, invoker=self._invoker)
        found = find(self._routes, method=request.method, path=path)
        if found is None:
            return web.Response(status=404)
        route, values = found
        function = self._http[route.target]
        body = await http_trigger.read_body(request)
        data = http_trigger.to_data(request, route_values=values, body=body)
        return http_trigger.to_response(function, await self._invoker.run(function, data))
