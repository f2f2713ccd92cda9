"""The functions: each binds one trigger, calls one use case, answers.

The names are public: they stand in the Event Grid subscription and in dashboards. The route
prefix is empty (host.json), so that the paths are the recording service's own.
"""

from typing import List  # noqa: UP035 - see Jobs

import azure.functions as func

from recording.api import me
from recording.api.doors import Doors, Shape
from recording.api.me import Me
from recording.api.openapi import Description
from recording.api.page import Page
from recording.api.request import path_value, read_body, read_events, read_match, read_query
from recording.api.response import Anything, Empty, Text, file_response, json_response, repeated
from recording.api.webhook import answer_options, answer_validation
from recording.app import current, ready, ready_if_possible, surroundings
from recording.archive.requeue import ChunkRequeued
from recording.catalogue import erasures, live
from recording.catalogue.browse import ListQuery, PageQuery, RecordingDetail, RecordingList
from recording.catalogue.erasures import ErasureList
from recording.catalogue.handout import ChunkLinks, LinkRequest
from recording.catalogue.live import LiveList, LiveQuery
from recording.catalogue.operations_view import (
    DaysQuery,
    DeadLetterList,
    OperationsQuery,
    OperationsView,
    QuarantinedDetail,
    QuarantinedList,
    UnannouncedList,
    WaitingList,
)
from recording.catalogue.trail import DayTrailQuery, TrailPage
from recording.catalogue.verify import ChunkVerified, RecordingVerification
from recording.control.bodies import (
    Operation,
    RecordingStarted,
    RecordingStateAnswer,
    StartRecording,
    StartRecordingByUrl,
)
from recording.control.consents import ConsentList, ConsentNoted
from recording.doctor.health import Health
from recording.erasing.requests import ErasePerson, EraseRecording, ErasureAccepted, ErasureDetail, PersonErasures
from recording.intake import backlog
from recording.intake.receive import to_messages
from recording.intake.replay import QuarantineReplayed
from recording.joining.file import RETRY_AFTER_SECONDS, FileQuery, RecordingFile
from recording.keeping.changes import Keeping
from recording.model import job, roles
from recording.model.caller import Caller
from recording.model.consent import ConsentBody
from recording.model.export import ExportAccepted, ExportQuery, ExportRequest, ExportView
from recording.model.holds import HoldsState, PlaceHolds
from recording.model.job import ArchiveJob, ChunkJob, ErasureJob, ExportJob, HoldsJob, JoinJob
from recording.model.keeping import LiftHold, PlaceHold, SetRetention
from recording.model.trail import Why

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
doors = Doors(app, tokens=lambda: current().clients.tokens)

site = Page()

# typing.List: the runtime refuses list[str] here as "invalid non-type annotation" (azure-functions-runtime 1.3.0).
Jobs = func.Out[List[str]]  # noqa: UP006
RECORDINGS = "conversations/{conversationId}/recordings"
RECORDING = "conversations/{conversationId}/recordings/{recordingId}"
# What the recording API refuses: unknown, in another state, too many requests, for now.
FROM_ACS = (404, 409, 429, 503)


@doors.both(
    "POST",
    RECORDINGS,
    Shape(RecordingStarted, body=StartRecording, repeatable=True, errors=FROM_ACS),
    roles=roles.STEER,
)
async def start_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Start recording a conversation."""
    body = read_body(StartRecording, req)
    control = (await ready_if_possible()).control
    started = await control.start(caller, path_value(req, "conversationId"), body)
    return json_response(started, headers=repeated(caller))


@doors.both(
    "POST",
    "recordings",
    Shape(RecordingStarted, body=StartRecordingByUrl, repeatable=True, errors=FROM_ACS),
    roles=roles.STEER,
)
async def start_recording_by_url(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Start recording the conversation of a URL or a server call id."""
    body = read_body(StartRecordingByUrl, req)
    control = (await ready_if_possible()).control
    return json_response(await control.start_by_url(caller, body), headers=repeated(caller))


@doors.both("GET", RECORDING, Shape(RecordingStateAnswer, errors=FROM_ACS), roles=roles.STEER)
async def get_recording_state(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer whether a recording is active."""
    control = (await ready_if_possible()).control
    return json_response(await control.get_state(*_ids(req)))


@doors.both("DELETE", RECORDING, Shape(Empty, body=Operation, errors=FROM_ACS), roles=roles.STEER)
async def stop_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Stop a recording."""
    control = (await ready_if_possible()).control
    await control.stop(caller, *_ids(req), read_body(Operation, req))
    return json_response()


@doors.both("POST", RECORDING + "/pause", Shape(Empty, body=Operation, errors=FROM_ACS), roles=roles.STEER)
async def pause_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Pause a recording."""
    control = (await ready_if_possible()).control
    await control.pause(caller, *_ids(req), read_body(Operation, req))
    return json_response()


@doors.both("POST", RECORDING + "/resume", Shape(Empty, body=Operation, errors=FROM_ACS), roles=roles.STEER)
async def resume_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Resume a paused recording."""
    control = (await ready_if_possible()).control
    await control.resume(caller, *_ids(req), read_body(Operation, req))
    return json_response()


@doors.token(
    "POST",
    "conversations/{conversationId}/consents",
    Shape(ConsentNoted, body=ConsentBody, statuses=(201,), errors=(503,)),
    roles=roles.NOTE_CONSENT,
)
async def note_consent(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Keep the fact that a participant granted or withdrew consent; a withdrawal pauses the recordings."""
    body = read_body(ConsentBody, req)
    consents = (await ready_if_possible()).consents
    return json_response(await consents.note(caller, path_value(req, "conversationId"), body), status=201)


@doors.token(
    "GET",
    "conversations/{conversationId}/consents",
    Shape(ConsentList, errors=(503,)),
    roles=roles.SEE_CONSENT,
)
async def list_consents(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List the consents of a conversation, and who has granted or withdrawn theirs."""
    return json_response(await (await ready()).consents.view(caller, path_value(req, "conversationId")))


@doors.both("GET", "recordings", Shape(RecordingList, query=ListQuery, errors=(503,)), roles=roles.FIND)
async def list_recordings(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List recordings, newest first."""
    query = read_query(ListQuery, req)
    return json_response(await (await ready()).handout.find(caller, query, url=req.url))


@doors.both(
    "GET", "recordings/{recordingKey}", Shape(RecordingDetail, errors=(404, 503), has_etag=True), roles=roles.FIND
)
async def get_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer with a recording's manifest, or its state while in flight."""
    found = await (await ready()).handout.view(caller, path_value(req, "recordingKey"))
    return json_response(found, headers={"ETag": found.etag})


@doors.both(
    "GET",
    "recordings/{recordingKey}/chunks/{index}/content",
    Shape(statuses=(302,), errors=(404, 503)),
    roles=roles.PLAY,
)
async def get_chunk_content(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Redirect to a read-only link of a few minutes."""
    handout = (await ready()).handout
    link = await handout.content(caller, path_value(req, "recordingKey"), path_value(req, "index"))
    return func.HttpResponse(status_code=302, headers={"Location": link, "Cache-Control": "no-store"})


@doors.token(
    "POST",
    "recordings/{recordingKey}/links",
    Shape(ChunkLinks, body=LinkRequest, errors=(404, 503)),
    roles=roles.PLAY,
)
async def create_links(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer with links of a few minutes to chunks, to play or to download them."""
    body = read_body(LinkRequest, req)
    return json_response(await (await ready()).handout.links(caller, path_value(req, "recordingKey"), body))


@doors.token(
    "GET",
    "recordings/{recordingKey}/file",
    Shape(RecordingFile, query=FileQuery, statuses=(200, 202), errors=(404, 409, 503), is_polled=True),
    roles=roles.PLAY,
)
async def get_recording_file(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer with links of a few minutes to one file of all chunks, which is made if it isn't there."""
    query, joining = read_query(FileQuery, req), (await ready()).joining
    found = await joining.file(caller, path_value(req, "recordingKey"), query)
    if found.state == "making":
        return json_response(found, status=202, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    return json_response(found)


@doors.token(
    "GET", "recordings/{recordingKey}/manifest", Shape(Anything, is_file=True, errors=(404, 503)), roles=roles.PLAY
)
async def download_manifest(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Download the manifest of an archived recording as it lies in storage."""
    found = await (await ready()).handout.manifest(caller, path_value(req, "recordingKey"))
    return file_response(found.name, found.body, mimetype="application/json")


@doors.token(
    "GET", "recordings/{recordingKey}/sha256sums", Shape(Text, is_file=True, errors=(404, 503)), roles=roles.PLAY
)
async def download_checksums(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Download the SHA256SUMS of an archived recording, for its files under the names of their downloads."""
    found = await (await ready()).handout.checksums(caller, path_value(req, "recordingKey"))
    return file_response(found.name, found.body, mimetype="text/plain")


@doors.token(
    "GET",
    "recordings/{recordingKey}/trail",
    Shape(TrailPage, query=PageQuery, errors=(404, 503)),
    roles=roles.TRAIL,
)
async def get_recording_trail(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List what was done with a recording, newest first."""
    view, query = (await ready()).trail_view, read_query(PageQuery, req)
    return json_response(await view.of_recording(path_value(req, "recordingKey"), query, url=req.url))


@doors.token("GET", "trail", Shape(TrailPage, query=DayTrailQuery, errors=(503,)), roles=roles.TRAIL)
async def get_trail(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List what was done on a day with any recording, newest first."""
    return json_response(await (await ready()).trail_view.of_day(read_query(DayTrailQuery, req), url=req.url))


@doors.both("POST", "recordings/{recordingKey}/verify", Shape(RecordingVerification, errors=(404,)), roles=roles.VERIFY)
async def verify_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Read an archived recording again and compare it with its manifest."""
    return json_response(await (await ready()).verifier.verify_in_request(caller, path_value(req, "recordingKey")))


@doors.token(
    "POST",
    "recordings/{recordingKey}/chunks/{index}/verify",
    Shape(ChunkVerified, body=Why, errors=(404, 409, 503)),
    roles=roles.VERIFY,
)
async def verify_chunk(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Read one archived chunk again and compare it with the manifest."""
    why, verifier = read_body(Why, req), (await ready()).verifier
    return json_response(await verifier.verify_chunk(caller, *_chunk(req), reason=why.reason))


@doors.token(
    "POST",
    "recordings/{recordingKey}/chunks/{index}/requeue",
    Shape(ChunkRequeued, body=Why, statuses=(200, 202), errors=(404, 409, 503)),
    roles=roles.TEND,
)
async def requeue_chunk(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Queue a chunk again, unless it is safe or being worked on."""
    why, requeue = read_body(Why, req), (await ready_if_possible()).requeue
    done = await requeue.run(caller, *_chunk(req), reason=why.reason)
    return json_response(done, status=202 if done.state == "queued" else 200)


@doors.token(
    "POST",
    "exports",
    Shape(ExportAccepted, body=ExportRequest, statuses=(202,), repeatable=True, errors=(404, 503)),
    roles=roles.EXPORT,
)
async def create_export(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Ask for an export of what there is about a person."""
    body = read_body(ExportRequest, req)
    accepted = await (await ready()).exports.ask(caller, body)
    return json_response(accepted, status=202, headers=repeated(caller))


@doors.token(
    "GET",
    "exports/{exportId}",
    Shape(ExportView, query=ExportQuery, errors=(404, 503)),
    roles=roles.EXPORT,
)
async def get_export(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer how far an export is, and with links of a few minutes once it is ready."""
    query = read_query(ExportQuery, req)
    return json_response(await (await ready()).exports.view(caller, path_value(req, "exportId"), query))


@doors.token(
    "POST",
    "recordings/{recordingKey}/erase",
    Shape(ErasureAccepted, body=EraseRecording, statuses=(202,), errors=(404, 409, 503)),
    roles=roles.ERASE_RECORDINGS,
)
async def erase_recording(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Ask for the erasure of a recording, which happens later and can be called off until then."""
    body, erasure = read_body(EraseRecording, req), (await ready()).erasure
    return json_response(await erasure.ask(caller, path_value(req, "recordingKey"), body), status=202)


@doors.token(
    "DELETE", "recordings/{recordingKey}/erase", Shape(Empty, errors=(404, 409, 503)), roles=roles.ERASE_RECORDINGS
)
async def call_off_erasure(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Call an erasure off that has not begun."""
    await (await ready()).erasure.call_off(caller, path_value(req, "recordingKey"))
    return json_response()


@doors.token(
    "POST",
    "erasures",
    Shape(PersonErasures, body=ErasePerson, statuses=(202,), errors=(503,)),
    roles=roles.ERASE_RECORDINGS,
)
async def erase_person(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Ask for the erasure of all recordings of a person; what is on hold is refused, and named; `next` goes on."""
    body, erasure = read_body(ErasePerson, req), (await ready()).erasure
    return json_response(await erasure.ask_for_person(caller, body), status=202)


@doors.token("GET", "erasures", Shape(ErasureList, query=PageQuery, errors=(503,)), roles=roles.ERASURES)
async def list_erasures(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List erasures, those that were asked for last first."""
    query, clients = read_query(PageQuery, req), (await ready()).clients
    return json_response(await erasures.page(clients.index, query, url=req.url))


@doors.token("GET", "erasures/{erasureId}", Shape(ErasureDetail, errors=(404, 503)), roles=roles.ERASURES)
async def get_erasure(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer with an erasure and its certificate."""
    return json_response(await (await ready()).erasure.get(path_value(req, "erasureId")))


@doors.token(
    "PUT",
    "recordings/{recordingKey}/retention",
    Shape(Keeping, body=SetRetention, errors=(404, 409, 503), has_etag=True),
    roles=roles.KEEP,
)
async def set_retention(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Set the retention class of a recording."""
    body, match, key = read_body(SetRetention, req), read_match(req), path_value(req, "recordingKey")
    kept = await (await ready()).keeping.set_retention(caller, key, body, match=match)
    return json_response(kept, headers={"ETag": kept.etag})


@doors.token(
    "PUT",
    "recordings/{recordingKey}/hold",
    Shape(Keeping, body=PlaceHold, errors=(404, 409, 503), has_etag=True),
    roles=roles.KEEP,
)
async def place_hold(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Place the hold of a case on a recording: until it is lifted, nobody can delete it."""
    body, match, key = read_body(PlaceHold, req), read_match(req), path_value(req, "recordingKey")
    kept = await (await ready()).keeping.place(caller, key, body, match=match)
    return json_response(kept, headers={"ETag": kept.etag})


@doors.token(
    "DELETE",
    "recordings/{recordingKey}/hold",
    Shape(Keeping, query=LiftHold, errors=(404, 503), has_etag=True),
    roles=roles.KEEP,
)
async def lift_hold(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Lift the hold of a case; those of other cases stay."""
    query, match, key = read_query(LiftHold, req), read_match(req), path_value(req, "recordingKey")
    kept = await (await ready()).keeping.lift(caller, key, query, match=match)
    return json_response(kept, headers={"ETag": kept.etag})


@doors.token("POST", "holds", Shape(HoldsState, body=PlaceHolds, statuses=(202,), errors=(503,)), roles=roles.KEEP)
async def place_holds(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Place the hold of a case on all recordings that a search finds now."""
    body, searches = read_body(PlaceHolds, req), (await ready()).hold_searches
    return json_response(await searches.ask(caller, body), status=202)


@doors.token("GET", "holds/{holdId}", Shape(HoldsState, errors=(404, 503)), roles=roles.KEEP)
async def get_holds(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer how many recordings are held by a search."""
    return json_response(await (await ready()).hold_searches.state(path_value(req, "holdId")))


@doors.token("GET", "operations", Shape(OperationsView, query=OperationsQuery), roles=roles.TEND)
async def get_operations(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer what needs an operator: the first page of each list."""
    query = read_query(OperationsQuery, req)
    return json_response(await (await ready_if_possible()).operations.view(query, url=req.url))


@doors.token("GET", "operations/waiting", Shape(WaitingList, query=PageQuery, errors=(503,)), roles=roles.TEND)
async def list_waiting(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List chunks that fail or are at risk, the least time left first."""
    query = read_query(PageQuery, req)
    return json_response(await (await ready_if_possible()).operations.waiting(query, url=req.url))


@doors.token(
    "GET", "operations/not-announced", Shape(UnannouncedList, query=PageQuery, errors=(503,)), roles=roles.TEND
)
async def list_not_announced(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List recordings that were stopped and never announced, the oldest stop first."""
    query = read_query(PageQuery, req)
    return json_response(await (await ready_if_possible()).operations.not_announced(query, url=req.url))


@doors.token("GET", "operations/quarantined", Shape(QuarantinedList, query=DaysQuery, errors=(503,)), roles=roles.TEND)
async def list_quarantined(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List events that could not be understood and were not accepted since, the newest day first."""
    query = read_query(DaysQuery, req)
    return json_response(await (await ready_if_possible()).operations.quarantined(query, url=req.url))


@doors.token("GET", "operations/quarantined/{eventKey}", Shape(QuarantinedDetail, errors=(404, 503)), roles=roles.TEND)
async def get_quarantined(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer with one event of the quarantine; its text only for roles that see people."""
    operations, key = (await ready_if_possible()).operations, path_value(req, "eventKey")
    return json_response(await operations.quarantined_event(key, people=caller.sees_people))


@doors.token(
    "POST",
    "operations/quarantined/{eventKey}/replay",
    Shape(QuarantineReplayed, body=Why, errors=(404, 409, 503)),
    roles=roles.TEND,
)
async def replay_quarantined(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Accept an event of the quarantine again."""
    why, replay = read_body(Why, req), (await ready()).replay
    return json_response(await replay.quarantined(caller, path_value(req, "eventKey"), reason=why.reason))


@doors.token("GET", "operations/dead-letters", Shape(DeadLetterList, query=DaysQuery, errors=(503,)), roles=roles.TEND)
async def list_dead_letters(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List what Event Grid gave up, the newest day first."""
    query = read_query(DaysQuery, req)
    return json_response(await (await ready_if_possible()).operations.dead_letters(query, url=req.url))


@doors.token("GET", "live", Shape(LiveList, query=LiveQuery, errors=(503,)), roles=roles.STEER)
async def list_live(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """List what is being recorded; each is paused, resumed and stopped by its ids."""
    query, clients = read_query(LiveQuery, req), (await ready_if_possible()).clients
    return json_response(await live.page(clients.index, query, url=req.url))


@doors.token("GET", "me", Shape(Me), roles=roles.SIGNED_IN)
async def get_me(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
    """Answer who asks, and what their roles allow."""
    assert caller.principal is not None  # noqa: S101 - the door of tokens has let it in
    return json_response(me.describe(caller.principal, doors.endpoints))


@doors.anybody("GET", "health", Shape(Health, statuses=(200, 503)))
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer what the app can reach."""
    found = await current().health.run()
    return json_response(found, status=200 if found.status == "ok" else 503)


@doors.anybody("GET", "openapi.json", Shape(Anything, statuses=(200, 304), has_etag=True))
async def describe(req: func.HttpRequest) -> func.HttpResponse:
    """Describe this API, in OpenAPI 3.1."""
    return description.answer(req)


@doors.page("/")
async def page(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the page."""
    return site.document(req, surroundings())


@doors.page("ui/{version}/{file}")
async def page_file(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a file of the page."""
    return site.file(req, path_value(req, "version"), path_value(req, "file"))


@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
@doors.key("POST", "callbacks", Shape(Anything, body=Anything, errors=(401, 503)))
async def receive_callback(req: func.HttpRequest, jobs: Jobs) -> func.HttpResponse:
    """Receive the callbacks of ACS: events in any form, with a token if ACS_RESOURCE_ID is set."""
    received = await read_events(req)
    if validation := answer_validation(received):
        return validation
    use_cases = await ready()
    await use_cases.clients.callbacks.check(req.headers.get("Authorization"))
    jobs.set(to_messages(await use_cases.intake.receive_all(received)))
    return json_response()


@doors.key("OPTIONS", "callbacks", Shape())
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


@app.queue_trigger(arg_name="message", queue_name=job.EXPORT_QUEUE, connection="AzureWebJobsStorage")
async def make_export(message: func.QueueMessage) -> None:
    """Make an export of what there is about a person; what it raises makes the queue try again."""
    await (await ready()).exports.run(ExportJob.from_message(message.get_body().decode()).export_id)


@app.queue_trigger(arg_name="message", queue_name=job.JOIN_QUEUE, connection="AzureWebJobsStorage")
async def join_recording(message: func.QueueMessage) -> None:
    """Make the joined file that somebody has asked for; what it raises makes the queue try again."""
    await (await ready()).joining.run(JoinJob.from_message(message.get_body().decode()))


@app.queue_trigger(arg_name="message", queue_name=job.ERASURE_QUEUE, connection="AzureWebJobsStorage")
async def erase_due_recording(message: func.QueueMessage) -> None:
    """Erase one recording that the timer has queued; what it raises makes the queue try again."""
    await (await ready()).erase.run(ErasureJob.from_message(message.get_body().decode()).recording_key)


@app.queue_trigger(arg_name="message", queue_name=job.HOLDS_QUEUE, connection="AzureWebJobsStorage")
async def hold_recordings(message: func.QueueMessage) -> None:
    """Hold what a search finds; what it raises makes the queue try again."""
    await (await ready()).hold_searches.run(HoldsJob.from_message(message.get_body().decode()).hold_id)


@app.timer_trigger(schedule="%ARCHIVE_SCHEDULE%", arg_name="timer")
@app.queue_output(arg_name="jobs", queue_name=job.QUEUE, connection="AzureWebJobsStorage")
async def archive_recordings(timer: func.TimerRequest, jobs: Jobs) -> None:
    """Do one run of the timer; recording/timer.py lists its steps."""
    jobs.set((await (await ready()).timer.run()).messages)


def _is_redelivered(message: func.QueueMessage) -> bool:
    return (message.dequeue_count or 1) > 1


def _chunk(req: func.HttpRequest) -> tuple[str, str]:
    return path_value(req, "recordingKey"), path_value(req, "index")


def _ids(req: func.HttpRequest) -> tuple[str, str]:
    return path_value(req, "conversationId"), path_value(req, "recordingId")


# After every operation: it describes all of them.
description = Description(doors.endpoints)
