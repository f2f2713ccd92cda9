"""A sample app for the tests of the host: what goes in comes out."""

import asyncio
import json
import logging
from typing import List  # noqa: UP035

import azure.functions as func

app = func.FunctionApp()


@app.route("conversations/{conversationId}/recordings/{recordingId}/pause", methods=["POST"])
async def pause(req: func.HttpRequest) -> func.HttpResponse:
    """Return everything about the request."""
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode("latin-1"),
    }
    logging.info("paused %s", req.route_params["recordingId"][:20])
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route("fan", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name="%JOBS%", connection="AzureWebJobsStorage")
async def fan(req: func.HttpRequest, jobs: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """Put one message per line of the body on the queue."""
    jobs.set(req.get_body().decode().splitlines())
    return func.HttpResponse(status_code=202)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name="%JOBS%", connection="AzureWebJobsStorage")
async def receive(event: str, jobs: func.Out[List[str]]) -> None:  # noqa: UP006
    """Put an event's chunks on the queue."""
    jobs.set([json.dumps({"chunk": chunk}) for chunk in json.loads(event)["data"]["chunks"]])


@app.queue_trigger(arg_name="msg", queue_name="%JOBS%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="done", queue_name="done", connection="AzureWebJobsStorage")
async def work(msg: func.QueueMessage, done: func.Out[bytes]) -> None:
    """Copy a message to the queue `done`."""
    await asyncio.sleep(0.01)
    done.set(msg.get_body())


@app.timer_trigger(schedule="* * * * * *", arg_name="timer")
@app.queue_output(arg_name="ticks", queue_name="ticks", connection="AzureWebJobsStorage")
def tick(timer: func.TimerRequest, ticks: func.Out[str]) -> None:
    """Queue a message each second."""
    ticks.set(json.dumps({"past_due": timer.past_due}))
