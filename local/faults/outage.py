"""An outage of a server: for a while its port refuses connections, as after the end of its process."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from pydantic import Field

from local.acs import bodies
from local.acs.errors import Conflict

# The request that starts the outage is answered before it begins.
_NOTICE_SECONDS = 0.05


class OutageBody(bodies.ControlBody):
    """How long the port is closed, also for the control plane."""

    seconds: Annotated[float, Field(gt=0, le=120, allow_inf_nan=False)]


class Outage:
    """Close a runner's port and its connections, and open the port again."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self._task: asyncio.Task[None] | None = None

    def begin(self, seconds: float) -> None:
        """Start an outage; raises Conflict if there is one already."""
        if self._task is not None and not self._task.done():
            raise Conflict("There is an outage already.")
        self._task = asyncio.create_task(self._last(seconds))

    async def cancel(self) -> None:
        """Cancel an outage that isn't over, before the runner is cleaned up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _last(self, seconds: float) -> None:
        await asyncio.sleep(_NOTICE_SECONDS)
        host, port = self._runner.addresses[0][:2]
        for site in list(self._runner.sites):
            await site.stop()
        for connection in self._runner.server.connections if self._runner.server else []:
            connection.force_close()
        await asyncio.sleep(seconds)
        await web.TCPSite(self._runner, host, port, reuse_address=True).start()


def route(prefix: str, outages: Sequence[Outage]) -> web.RouteDef:
    """Return the control-plane route that starts all these outages at once."""

    async def begin(request: web.Request) -> web.Response:
        body = await bodies.read(request, OutageBody)
        for outage in outages:
            outage.begin(body.seconds)
        return web.json_response({}, status=202)

    return web.post(prefix + "/outage", begin)
