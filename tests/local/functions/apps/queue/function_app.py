"""Queue functions for the tests of the queue listener, and HTTP and Event Grid ones that write to queues."""

import asyncio
import json
from typing import List  # noqa: UP035

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
running: set[str] = set()


@app.queue_trigger(arg_name="msg", queue_name="%JOBS%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="seen", queue_name="seen", connection="AzureWebJobsStorage")
async def work(msg: func.QueueMessage, seen: func.Out[bytes]) -> None:
    """Report the message; fail or take long when it says so."""
    body = msg.get_body().decode()
    if "fail" in body:
        raise RuntimeError("on purpose")
    running.add(str(msg.id))
    most = len(running)
    if "slow" in body:
        await asyncio.sleep(2.5)
    running.discard(str(msg.id))
    report = {
        "body": body,
        "id": msg.id,
        "dequeue_count": msg.dequeue_count,
        "inserted": msg.insertion_time is not None and msg.insertion_time.tzinfo is not None,
        "running": most,
    }
    seen.set(json.dumps(report).encode())


@app.route("enqueue-text", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out-text", connection="AzureWebJobsStorage")
async def enqueue_text(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse:
    """Write the body as text."""
    out.set(req.get_body().decode())
    return func.HttpResponse(status_code=202)


@app.route("enqueue-bytes", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out-bytes", connection="AzureWebJobsStorage")
async def enqueue_bytes(req: func.HttpRequest, out: func.Out[bytes]) -> func.HttpResponse:
    """Write the body as bytes."""
    out.set(req.get_body())
    return func.HttpResponse(status_code=202)


@app.route("enqueue-list", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out-list", connection="AzureWebJobsStorage")
async def enqueue_list(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """Write each line of the body."""
    out.set(req.get_body().decode().splitlines())
    return func.HttpResponse(status_code=202)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="$return", queue_name="out-returned", connection="AzureWebJobsStorage")
async def returned(event: str) -> str:
    """Return the event's id as a message."""
    return str(json.loads(event)["id"])


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="out", queue_name="out-events", connection="AzureWebJobsStorage")
async def receive(event: str, out: func.Out[List[str]]) -> None:  # noqa: UP006
    """Write an event's text twice; fail when it says so."""
    if json.loads(event)["id"] == "fail":
        raise RuntimeError("on purpose")
    out.set([event, event])


@app.event_grid_trigger(arg_name="event")
async def typed(event: func.EventGridEvent) -> None:
    """Take an event of the Event Grid schema."""
    if event.get_json()["n"] != 1:
        raise RuntimeError("on purpose")


@app.event_grid_trigger(arg_name="event")
async def slow_event(event: str) -> None:
    """Take 0.3 seconds for each event."""
    await asyncio.sleep(0.3)
