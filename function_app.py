"""The functions: each binds one trigger, calls one use case, answers.

The names are public: they stand in the Event Grid subscription and in dashboards. The route
prefix is empty (host.json), so that the paths are the recording service's own.
"""

import asyncio
from typing import List  # noqa: UP035 - see Jobs

import azure.functions as func

from recording.api import request
from recording.api.response import json_response, responds
from recording.app import current, ready, ready_if_possible
from recording.catalogue import browse, verify
from recording.catalogue.browse import ListQuery
from recording.control.bodies import Caller, Operation, StartRecording, StartRecordingByUrl
from recording.control.operations import RecordingControl
from recording.doctor.health import check as check_health
from recording.errors import BadEvent, BadRequest, RecordingError
from recording.intake import backlog
from recording.model import event_parser, job

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

# typing.List: the runtime refuses list[str] here as "invalid non-type annotation" (azure-functions-runtime 1.3.0).
Jobs = func.Out[List[str]]  # noqa: UP006
VERIFY_SECONDS = 200.0
RECORDINGS = "conversations/{conversationId}/recordings"
RECORDING = "conversations/{conversationId}/recordings/{recordingId}"


@app.route(RECORDINGS, methods=["POST"])
@responds
async def start_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording a conversation."""
    body = request.read_body(StartRecording, req.get_body())
    return json_response(await (await _control(req)).start(req.route_params["conversationId"], body))


@app.route("recordings", methods=["POST"])
@responds
async def start_recording_by_url(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording the conversation of a URL or a server call id."""
    body = request.read_body(StartRecordingByUrl, req.get_body())
    return json_response(await (await _control(req)).start_by_url(body))


@app.route(RECORDING, methods=["GET"])
@responds
async def get_recording_state(req: func.HttpRequest) -> func.HttpResponse:
    """Tell whether a recording is active."""
    return json_response(await (await _control(req)).state(*_ids(req)))


@app.route(RECORDING, methods=["DELETE"])
@responds
async def stop_recording(req: func.HttpRequest) -> func.HttpResponse:
    """End a recording."""
    await (await _control(req)).stop(*_ids(req), _operation(req))
    return json_response()


@app.route(RECORDING + "/pause", methods=["POST"])
@responds
async def pause_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Pause a recording."""
    await (await _control(req)).pause(*_ids(req), _operation(req))
    return json_response()


@app.route(RECORDING + "/resume", methods=["POST"])
@responds
async def resume_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Resume a paused recording."""
    await (await _control(req)).resume(*_ids(req), _operation(req))
    return json_response()


@app.route("recordings", methods=["GET"])
@responds
async def list_recordings(req: func.HttpRequest) -> func.HttpResponse:
    """List recordings, newest first."""
    query = request.read_query(ListQuery, req.params)
    here = await ready()
    return json_response(await browse.page(here.clients.blobs, here.recordings, query))


@app.route("recordings/{recordingKey}", methods=["GET"])
@responds
async def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a recording's manifest, or its state while in flight."""
    here = await ready()
    return json_response(await browse.get(req.route_params["recordingKey"], here.recordings))


@app.route("recordings/{recordingKey}/chunks/{index}/content", methods=["GET"])
@responds
async def get_chunk_content(req: func.HttpRequest) -> func.HttpResponse:
    """Redirect to a read-only link of a few minutes."""
    here = await ready()
    link = await browse.content_link(
        req.route_params["recordingKey"],
        req.route_params["index"],
        here.clients.blobs,
        here.recordings,
    )
    return func.HttpResponse(status_code=302, headers={"Location": link, "Cache-Control": "no-store"})


@app.route("recordings/{recordingKey}/verify", methods=["POST"])
@responds
async def verify_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Re-read an archived recording and compare it with its manifest."""
    here = await ready()
    try:
        # The platform gives a request 230 s, whatever functionTimeout says (docs/functions-host.md#http).
        async with asyncio.timeout(VERIFY_SECONDS):
            key = req.route_params["recordingKey"]
            return json_response(await verify.verify(key, here.clients.blobs, here.recordings))
    except TimeoutError:
        raise RecordingError("too large for one request: use python -m recording verify", code="TooLarge") from None


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@responds
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Tell what the app can reach."""
    here = current()
    found = await check_health(here.clients.blobs, here.clients.chunk_queue, here.clients.service)
    return json_response(found, status=200 if found.status == "ok" else 503)


@app.route("callbacks", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
@responds
async def receive_callback(req: func.HttpRequest, jobs: Jobs) -> func.HttpResponse:
    """Take what ACS sends by HTTP itself: one event or an array, with its token if ACS_RESOURCE_ID asks for one."""
    here = await ready()
    await here.clients.callbacks.check(req.headers.get("Authorization"))
    try:
        received = event_parser.split_events(req.get_body().decode())
    except (BadEvent, UnicodeDecodeError) as bad:
        raise BadRequest(str(bad), target="body") from None
    jobs.set([message for text in received for message in await here.take(text)])
    return json_response()


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def receive_event(event: str, jobs: Jobs) -> None:
    """Take an Event Grid event; `str` gets its text untouched in either schema (docs/functions-host.md#event-grid)."""
    here = await ready()
    jobs.set(await here.take(event, here.backlog))


@app.queue_trigger(arg_name="message", queue_name=backlog.QUEUE, connection="AzureWebJobsStorage")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def take_events(message: func.QueueMessage, jobs: Jobs) -> None:
    """Take the events that came when many were being taken; what it raises makes the queue try all of them again."""
    here = await ready()
    held = backlog.read(message.get_body().decode())
    jobs.set(await backlog.take(held, here.take, here.backlog))


@app.queue_trigger(arg_name="message", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def ingest_chunk(message: func.QueueMessage) -> None:
    """Bring one chunk into staging; what it raises makes the queue try again."""
    await (await ready()).ingest.run(job.read(message.get_body().decode()))


@app.timer_trigger(schedule="%ARCHIVE_SCHEDULE%", arg_name="timer")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def archive_recordings(timer: func.TimerRequest, jobs: Jobs) -> None:
    """Finish, rescue, archive, report."""
    _, messages = await (await ready()).run_timer()
    jobs.set(messages)


async def _control(req: func.HttpRequest) -> RecordingControl:
    here = await ready_if_possible()
    caller = Caller(request.caller(req.headers), request.repeat_key(req.headers))
    return RecordingControl(
        here.clients.service, here.audit, here.starts, here.endings, caller, callback_uri=here.settings.callback_uri()
    )


def _ids(req: func.HttpRequest) -> tuple[str, str]:
    return req.route_params["conversationId"], req.route_params["recordingId"]


def _operation(req: func.HttpRequest) -> Operation:
    return request.read_body(Operation, req.get_body())
