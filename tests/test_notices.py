"""recording/notices.py: results are published to other systems, under ids that show repeats."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError

from recording import app, notices
from recording.app import App, assemble
from recording.config.settings import read_settings
from recording.model import layout
from recording.notices import Notice, RunNotices, Topic
from tests.support.archives import HOUR, give_up, lose
from tests.support.emulator import Control
from tests.support.facts import TOPIC_KEY, announce, listing, receive, stage, sweep, told, topic
from tests.support.faults import FaultyBlobs
from tests.support.proved import stage_files
from tests.support.source import certified, serve, wav

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
NOTICE = Notice("Recording.Archived", "key", "revision 1", NOW, {"a": 1})


@pytest_asyncio.fixture
async def telling(app: App, control: Control) -> AsyncIterator[App]:
    """The app, with a topic to publish to."""
    async with topic(app, control) as there:
        yield there


def test_an_id_is_made_of_what_is_told() -> None:
    """Time and data may differ from one try to the next; kind, subject and fact distinguish notices."""
    again = replace(NOTICE, time=NOW + HOUR, data={})
    others = [
        replace(NOTICE, kind="Recording.Lost"),
        replace(NOTICE, subject="other"),
        replace(NOTICE, fact="revision 2"),
    ]

    assert NOTICE.id == again.id
    assert 4 == len({NOTICE.id, *(other.id for other in others)})


async def test_a_notice_is_a_cloud_event(telling: App, control: Control) -> None:
    """Whoever subscribes gets its type, subject, time and data in the CloudEvents schema."""
    await telling.clients.topic.publish(NOTICE, replace(NOTICE, fact="revision 2"))
    await telling.clients.topic.publish(NOTICE)

    first, second, again = await told(control)
    assert ("1.0", notices.SOURCE, "Recording.Archived", "key", {"a": 1}) == tuple(
        first[name] for name in ("specversion", "source", "type", "subject", "data")
    )
    assert datetime.fromisoformat(first["time"]) == NOW
    assert first == again
    assert first["id"] != second["id"]


@pytest.mark.parametrize("key", [None, TOPIC_KEY])
async def test_without_an_endpoint_nothing_is_told(key: str | None) -> None:
    """A topic is the operator's choice."""
    silent = Topic(None, key, None)
    await silent.publish(NOTICE)
    await silent.aclose()


async def test_a_topic_can_be_told_by_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the app's identity asks for a token of Event Grid's, and the topic gets that instead."""
    scopes: list[str] = []
    received = []

    class Identity(AsyncTokenCredential):
        async def get_token(self, *asked: str, **_: Any) -> AccessToken:
            scopes.extend(asked)
            return AccessToken("t0ken", 4_000_000_000)

        async def close(self) -> None:
            pass

        async def __aexit__(self, *_: object) -> None:
            pass

    async def take(request: web.Request) -> web.Response:
        received.append((request.headers["Authorization"], await request.json(), "aeg-sas-key" in request.headers))
        return web.Response()

    # A token is sent by TLS only.
    of_server, of_client = certified(tmp_path)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", of_client)
    async with serve(take, tls=of_server) as address:
        by_identity = Topic(f"{address}/api/events", None, Identity())
        await by_identity.publish(NOTICE)
        await by_identity.aclose()

    [(authorization, [event], has_key)] = received
    assert ("Bearer t0ken", NOTICE.id, False) == (authorization, event["id"], has_key)
    assert ["https://eventgrid.azure.net/.default"] == scopes


async def test_a_recording_is_told_as_archived_once_its_manifest_is_there(
    telling: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blob that a notice names exists."""
    [job, _] = await stage(telling, await control.recording(1000, 2000))
    seen = []

    class Looking(Topic):
        async def publish(self, *some: Notice) -> None:
            seen.append(sorted(await listing(telling.settings, "archive")))
            await super().publish(*some)

    looking = Looking(f"{control.endpoint}/emulator/topic/api/events", TOPIC_KEY, None)
    await sweep(assemble(telling.settings, replace(telling.clients, topic=looking)))
    await looking.aclose()

    [event] = await told(control)
    manifest = layout.manifest_blob(job.recording_key)
    assert [sorted(await listing(telling.settings, "archive"))] == seen
    assert ("Recording.Archived", job.recording_key) == (event["type"], event["subject"])
    assert event["data"] == {"recordingKey": job.recording_key, "manifest": manifest, "chunks": 2, "missing": []}
    assert manifest in seen[0]


async def test_a_notice_that_failed_is_published_by_the_next_run(app: App, control: Control) -> None:
    """Staging isn't emptied before the notice is published, so that the next run retries; both tries have one id."""
    [job] = await stage(app, await control.recording(1000))
    refused = []

    async def refuse(request: web.Request) -> web.Response:
        refused.extend(await request.json())
        return web.Response(status=401)

    async with serve(refuse) as address:
        down = Topic(f"{address}/api/events", TOPIC_KEY, None)
        report = await sweep(assemble(app.settings, replace(app.clients, topic=down)))
        await down.aclose()
    assert (job.recording_key, True) == (report.archived[0], report.topic_failed)
    assert 3 + 1 == len(await listing(app.settings, "staging"))
    before = await listing(app.settings, "archive")

    async with topic(app, control) as there:
        await sweep(there)
        await sweep(there)

    [event] = await told(control)
    assert [event["id"]] == [one["id"] for one in refused]
    assert ({}, before) == (await listing(app.settings, "staging"), await listing(app.settings, "archive"))


@pytest.mark.parametrize(
    ("method", "name", "notices"), [("create", "/told-", 2), ("delete", "", 1)], ids=["noting", "emptying"]
)
async def test_a_run_that_died_after_publishing_is_made_up_for(
    telling: App, control: Control, method: str, name: str, notices: int
) -> None:
    """It publishes again, under the same id, only if it didn't come to note that it has; emptying is taken up again."""
    await stage(telling, await control.recording(1000))

    dying = FaultyBlobs(telling.settings).on(method, name=name, raises=TimeoutError)
    await sweep(assemble(telling.settings, replace(telling.clients, blobs=dying)))
    await dying.aclose()
    assert {} != await listing(telling.settings, "staging")
    await sweep(telling)

    assert (notices, 1) == (len(await told(control)), len({one["id"] for one in await told(control)}))
    assert {} == await listing(telling.settings, "staging")


# The chunk, its metadata file and the event are copied, the proof, the manifest and the fact of the notice are written;
# these are deleted again, the fact last.
@pytest.mark.parametrize("after", range(6, 12))
async def test_emptying_that_is_cut_short_anywhere_publishes_no_notice_again(
    telling: App, control: Control, after: int
) -> None:
    """As long as an event is left, the fact that the notice was published is there, too."""
    await stage_files(telling, wav(500))
    dying = FaultyBlobs(telling.settings, kill_after=after)
    with pytest.raises(BaseExceptionGroup):
        await sweep(assemble(telling.settings, replace(telling.clients, blobs=dying)))
    await dying.aclose()
    assert (after < 11) == bool(await listing(telling.settings, "staging"))

    await sweep(telling)

    assert ["Recording.Archived"] == [one["type"] for one in await told(control)]
    assert {} == await listing(telling.settings, "staging")


async def test_what_is_lost_is_named(telling: App, control: Control) -> None:
    """A manifest that isn't complete is published as a loss, with the documents that are missing."""
    kept, gone, bare = await announce(telling, await control.recording(1000, 2000, 3000))
    await telling.ingest.run(kept)
    await lose(telling, control, gone)
    await telling.ingest.run(bare)
    await telling.clients.blobs.delete("staging", bare.metadata_blob)

    await sweep(telling, now=await give_up(telling, bare))

    events = [event for event in await told(control) if event["type"] != "Recording.AtRisk"]
    assert [("Recording.Lost", [gone.document_id, bare.document_id], 3)] == [
        (e["type"], e["data"]["missing"], e["data"]["chunks"]) for e in events
    ]


async def test_what_comes_late_after_all_is_told_under_another_id(telling: App, control: Control) -> None:
    """The second manifest is another fact than the first."""
    [job] = await announce(telling, await control.recording(1000))
    late = await give_up(telling, job)
    await sweep(telling, now=late)
    await telling.ingest.run(job)
    await sweep(telling, now=late)

    first, second = await told(control)
    assert ("Recording.Lost", "Recording.Archived") == (first["type"], second["type"])
    assert layout.manifest_blob(job.recording_key, 2) == second["data"]["manifest"]
    assert first["id"] != second["id"]


async def test_a_chunk_at_risk_is_told_once_and_logged_on_every_run(
    telling: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """An alert counts lines of the log; whoever subscribes wants one notice for each chunk."""
    jobs = await announce(telling, await control.recording(1000, 2000))
    begun = datetime.now(UTC)

    for hours in (30, 41, 42, 43):
        await sweep(telling, now=begun + hours * HOUR)

    events = await told(control)
    assert sorted(job.document_id for job in jobs) == sorted(e["data"]["documentId"] for e in events)
    assert {"Recording.AtRisk"} == {e["type"] for e in events}
    assert {jobs[0].recording_key} == {e["subject"] for e in events}
    assert 3 * 2 == caplog.text.count("chunk.at_risk")
    for job in jobs:
        await telling.ingest.run(job)
    await sweep(telling, now=begun + 44 * HOUR)
    assert {} == await listing(telling.settings, "staging")
    assert not any("/notices/" in name for name in await listing(telling.settings, "archive"))


@pytest.mark.parametrize("risk_hours", [1, 8, 24])
async def test_risk_hours_say_when_a_chunk_is_at_risk(
    environment: dict[str, str], control: Control, risk_hours: int
) -> None:
    """Not a minute before so many hours are left of its 48, and from then on."""
    built = await app.open_app(read_settings(environment | {"RISK_HOURS": str(risk_hours)}))
    begun = datetime.now(UTC)
    [job] = await announce(built, await control.recording(1000), eventTime=begun.isoformat())
    moment = begun + (48 - risk_hours) * HOUR

    seen = []
    async with topic(built, control) as there:
        for now in (moment - timedelta(minutes=1), moment):
            await sweep(there, now=now)
            seen.append([(e["data"]["documentId"], e["data"]["hoursLeft"]) for e in await told(control)])
    await built.aclose()

    assert [[], [(job.document_id, risk_hours)]] == seen


async def test_a_topic_that_is_down_costs_no_chunk_its_next_try(app: App, control: Control) -> None:
    """What is at risk is requeued though the topic can't be reached."""
    [job] = await announce(app, await control.recording(1000))
    begun = datetime.now(UTC)

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403)

    async with serve(refuse) as address:
        down = Topic(f"{address}/api/events", TOPIC_KEY, None)
        report = await sweep(assemble(app.settings, replace(app.clients, topic=down)), now=begun + 41 * HOUR)
        await down.aclose()

    assert ([job], True) == (report.jobs, report.topic_failed)
    async with topic(app, control) as there:
        await sweep(there, now=begun + 42 * HOUR)
    assert ["Recording.AtRisk"] == [event["type"] for event in await told(control)]


@pytest.mark.parametrize("status", [500, 503])
async def test_a_topic_that_is_down_is_given_up_soon(status: int) -> None:
    """The run goes on to other recordings; ten tries of the client's own would take minutes."""
    tries = 0

    async def fail(_: web.Request) -> web.Response:
        nonlocal tries
        tries += 1
        return web.Response(status=status, headers={"Retry-After": "60"} if status == 503 else {})

    async with serve(fail) as address:
        down = Topic(f"{address}/api/events", TOPIC_KEY, None, timeout=4.0)
        async with asyncio.timeout(6):
            with pytest.raises((HttpResponseError, TimeoutError)):
                await down.publish(NOTICE)
        await down.aclose()
    assert tries <= 3


async def test_an_event_in_quarantine_is_told(telling: App, control: Control) -> None:
    """Somebody has to look at it; however often it comes, it is one fact."""
    for _ in range(2):
        await receive(telling, "no event at all")

    first, again = await told(control)
    [blob] = await listing(telling.settings, "quarantine")
    assert ("Recording.Quarantined", blob, first["id"]) == (first["type"], first["data"]["blob"], again["id"])
    assert ["the event is not JSON"] == first["data"]["reasons"]


async def test_no_key_is_in_an_error(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the topic answers, its key is neither raised nor logged."""
    caplog.set_level("INFO")

    async def refuse(request: web.Request) -> web.Response:
        assert request.headers["aeg-sas-key"] == TOPIC_KEY
        return web.json_response({"error": {"code": "Unauthorized", "message": "no"}}, status=401)

    async with serve(refuse) as address:
        down = Topic(f"{address}/api/events", TOPIC_KEY, None)
        with pytest.raises(HttpResponseError) as raised:
            await down.publish(NOTICE)
        await stage(app, await control.recording(1000))
        await sweep(assemble(app.settings, replace(app.clients, topic=down)))
        await down.aclose()

    assert "notice.failed" in caplog.text
    assert TOPIC_KEY not in caplog.text + str(raised.value) + repr(raised.value) + repr(down.__dict__)


async def test_a_run_tries_a_topic_that_is_down_once(caplog: pytest.LogCaptureFixture) -> None:
    """It has more to do: what wasn't published is published by the next run."""
    tries = 0

    async def fail(request: web.Request) -> web.Response:
        nonlocal tries
        tries += 1
        return web.json_response({}, status=401)

    async with serve(fail) as address:
        down = Topic(f"{address}/api/events", TOPIC_KEY, None)
        notices = RunNotices(down)
        told_both = [await notices.publish(NOTICE), await notices.publish(NOTICE)]
        await down.aclose()

    assert ([False, False], True, 1) == (told_both, notices.failed, tries)
    assert 1 == caplog.text.count("notice.failed")
