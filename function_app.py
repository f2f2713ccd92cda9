"""The functions: each binds one trigger, calls one use case, answers.

The names are public: they stand in the Event Grid subscription and in dashboards. The route
prefix is empty (host.json), so that the paths are the recording service's own.
"""

from typing import List  # noqa: UP035 - see Jobs

import azure.functions as func

from recording.api.request import path_value, read_body, read_caller, read_events, read_query
from recording.api.response import json_response, responds
from recording.api.webhook import answer_options, answer_validation
from recording.app import current, ready, ready_if_possible
from recording.catalogue.browse import ListQuery
from recording.control.bodies import Operation, StartRecording, StartRecordingByUrl
from recording.intake import backlog
from recording.intake.receive import to_messages
from recording.model import job
from recording.model.job import ArchiveJob, ChunkJob

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

# typing.List: the runtime refuses list[str] here as "invalid non-type annotation" (azure-functions-runtime 1.3.0).
Jobs = func.Out[List[str]]  # noqa: UP006
RECORDINGS = "conversations/{conversationId}/recordings"
RECORDING = "conversations/{conversationId}/recordings/{recordingId}"


@app.route(RECORDINGS, methods=["POST"])
@responds
async def start_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording a conversation."""
    body = read_body(StartRecording, req)
    control = (await ready_if_possible()).control
    return json_response(await control.start(read_caller(req), path_value(req, "conversationId"), body))


@app.route("recordings", methods=["POST"])
@responds
async def start_recording_by_url(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording the conversation of a URL or a server call id."""
    body = read_body(StartRecordingByUrl, req)
    control = (await ready_if_possible()).control
    return json_response(await control.start_by_url(read_caller(req), body))


@app.route(RECORDING, methods=["GET"])
@responds
async def get_recording_state(req: func.HttpRequest) -> func.HttpResponse:
    """Answer whether a recording is active."""
    control = (await ready_if_possible()).control
    return json_response(await control.get_state(*_ids(req)))


@app.route(RECORDING, methods=["DELETE"])
@responds
async def stop_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Stop a recording."""
    control = (await ready_if_possible()).control
    await control.stop(read_caller(req), *_ids(req), read_body(Operation, req))
    return json_response()


@app.route(RECORDING + "/pause", methods=["POST"])
@responds
async def pause_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Pause a recording."""
    control = (await ready_if_possible()).control
    await control.pause(read_caller(req), *_ids(req), read_body(Operation, req))
    return json_response()


@app.route(RECORDING + "/resume", methods=["POST"])
@responds
async def resume_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Resume a paused recording."""
    control = (await ready_if_possible()).control
    await control.resume(read_caller(req), *_ids(req), read_body(Operation, req))
    return json_response()


@app.route("recordings", methods=["GET"])
@responds
async def list_recordings(req: func.HttpRequest) -> func.HttpResponse:
    """List recordings, newest first."""
    query = read_query(ListQuery, req)
    return json_response(await (await ready()).catalogue.page(query))


@app.route("recordings/{recordingKey}", methods=["GET"])
@responds
async def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a recording's manifest, or its state while in flight."""
    return json_response(await (await ready()).catalogue.get(path_value(req, "recordingKey")))


@app.route("recordings/{recordingKey}/chunks/{index}/content", methods=["GET"])
@responds
async def get_chunk_content(req: func.HttpRequest) -> func.HttpResponse:
    """Redirect to a read-only link of a few minutes."""
    catalogue = (await ready()).catalogue
    link = await catalogue.content_link(path_value(req, "recordingKey"), path_value(req, "index"))
    return func.HttpResponse(status_code=302, headers={"Location": link, "Cache-Control": "no-store"})


@app.route("recordings/{recordingKey}/verify", methods=["POST"])
@responds
async def verify_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Read an archived recording again and compare it with its manifest."""
    return json_response(await (await ready()).verifier.verify_in_request(path_value(req, "recordingKey")))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@responds
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer what the app can reach."""
    found = await current().health.run()
    return json_response(found, status=200 if found.status == "ok" else 503)


@app.route("callbacks", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
@responds
async def receive_callback(req: func.HttpRequest, jobs: Jobs) -> func.HttpResponse:
    """Receive the callbacks of ACS: events in any form, with a token if ACS_RESOURCE_ID is set."""
    received = read_events(req)
    if validation := answer_validation(received):
        return validation
    use_cases = await ready()
    await use_cases.clients.callbacks.check(req.headers.get("Authorization"))
    jobs.set([message for text in received for message in to_messages(await use_cases.intake.receive(text))])
    return json_response()


@app.route("callbacks", methods=["OPTIONS"])
@responds
async def permit_callbacks(req: func.HttpRequest) -> func.HttpResponse:
    """Answer the handshake of CloudEvents; whoever has the key may send events."""
    return answer_options(req)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def receive_event(event: str, jobs: Jobs) -> None:
    """Receive an Event Grid event; `str` is its unchanged text in both schemas (docs/functions-host.md#event-grid)."""
    jobs.set(to_messages(await (await ready()).intake.receive(event, may_defer=True)))


@app.queue_trigger(arg_name="message", queue_name=backlog.QUEUE, connection="AzureWebJobsStorage")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def take_events(message: func.QueueMessage, jobs: Jobs) -> None:
    """Receive the events that were deferred; if all of them fail, the queue tries the message again."""
    use_cases = await ready()
    text = message.get_body().decode()
    jobs.set(to_messages(await use_cases.backlog.accept_message(text, use_cases.intake.receive)))


@app.queue_trigger(arg_name="message", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def ingest_chunk(message: func.QueueMessage) -> None:
    """Bring one chunk into staging; what it raises makes the queue try again."""
    chunk = ChunkJob.from_message(message.get_body().decode())
    await (await ready()).ingest.run(chunk, is_redelivered=_is_redelivered(message))


@app.queue_trigger(arg_name="message", queue_name=job.BULK_QUEUE, connection="AzureWebJobsStorage")
async def ingest_bulk(message: func.QueueMessage) -> None:
    """Bring one chunk of a recording with many into staging, or queue a batch of them."""
    await (await ready()).bulk.run(message.get_body().decode(), is_redelivered=_is_redelivered(message))


@app.queue_trigger(arg_name="message", queue_name=job.ARCHIVE_QUEUE, connection="AzureWebJobsStorage")
async def archive_recording(message: func.QueueMessage) -> None:
    """Archive one recording that the timer has queued; what it raises makes the queue try again."""
    await (await ready()).archive.run(ArchiveJob.from_message(message.get_body().decode()).recording_key)


@app.timer_trigger(schedule="%ARCHIVE_SCHEDULE%", arg_name="timer")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def archive_recordings(timer: func.TimerRequest, jobs: Jobs) -> None:
    """Do one run of the timer; recording/timer.py lists its steps."""
    jobs.set((await (await ready()).timer.run()).messages)


def _is_redelivered(message: func.QueueMessage) -> bool:
    return (message.dequeue_count or 1) > 1


def _ids(req: func.HttpRequest) -> tuple[str, str]:
    return path_value(req, "conversationId"), path_value(req, "recordingId")
