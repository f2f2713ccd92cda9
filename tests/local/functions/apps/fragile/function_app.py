"""Functions that take their process with them."""

import asyncio
import os
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("pid")
async def pid(req: func.HttpRequest) -> func.HttpResponse:
    """Return the process id."""
    return func.HttpResponse(str(os.getpid()))


@app.route("die")
async def die(req: func.HttpRequest) -> func.HttpResponse:
    """End the process."""
    os._exit(7)


@app.route("hang")
async def hang(req: func.HttpRequest) -> func.HttpResponse:
    """Never answer."""
    await asyncio.sleep(600)
    return func.HttpResponse("late")


@app.route("wait/{seconds}")
async def wait(req: func.HttpRequest) -> func.HttpResponse:
    """Answer after some seconds."""
    await asyncio.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse("waited")


@app.route("block")
async def block(req: func.HttpRequest) -> func.HttpResponse:
    """Block the event loop."""
    time.sleep(600)
    return func.HttpResponse("late")
