"""recording/control/consents.py: consent is noted, starts need it, and a withdrawal pauses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from local.azurite import Azurite
from recording.app import App
from recording.control.bodies import Operation, StartRecording
from recording.errors import BadRequest, ConsentMissing, StorageUnavailable
from recording.model import conversation
from recording.model.caller import Caller
from recording.model.consent import Consent, ConsentBody, ConsentFacts, Decision, counting
from recording.model.roles import Principal
from recording.model.started import Started
from recording.storage.consents import Consents
from tests.support.emulator import Control
from tests.support.facts import body_of, harmed, listing, receive, run_timer, sweep, trail_of, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.logs import logged
from tests.support.source import mp4, storage_host, today

APP = Caller("App", principal=Principal("service", "8c5f7a39-0000-4000-8000-000000000001", "App", frozenset()))
ADA, GRACE = "8:acs:ada", "8:acs:grace"
CALL = "aHR0cHM6Ly9jb252LmV4YW1wbGUvY29udi94"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REQUIRED = pytest.mark.settings(CONSENT="required")


def body(participant: str, decision: Decision, **more: Any) -> ConsentBody:
    """Make what a request says of a participant."""
    return ConsentBody(participant=participant, decision=decision, how="click", **more)


async def call(control: Control) -> str:
    """Place a call, and return its conversation id."""
    return str((await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"])


async def state(app: App, conversation: str, recording_id: str) -> str:
    """Return what the service says of a recording."""
    return (await app.control.get_state(conversation, recording_id)).recording_state


@asynccontextmanager
async def dying(app: App, after: int) -> AsyncIterator[App]:
    """Wire the app so that it is killed after some writes."""
    blobs = FaultyBlobs(app.settings, kill_after=after)
    yield with_blobs(app, blobs)
    await blobs.aclose()


@REQUIRED
async def test_a_start_needs_consent_and_says_what_is_missing(app: App, control: Control) -> None:
    """409 before anybody granted, and after somebody withdrew; the refusal is on record, and ACS is not asked."""
    one = await call(control)

    with pytest.raises(ConsentMissing, match="no participant has granted"):
        await app.control.start(APP, one, StartRecording())
    granted = await app.consents.note(APP, one, body(ADA, "granted"))
    started = await app.control.start(APP, one, StartRecording())
    await app.control.stop(APP, one, started.recording_id, Operation())
    await app.consents.note(APP, one, body("8:ACS:Grace", "withdrawn"))
    with pytest.raises(ConsentMissing, match=r"1 participant\(s\) have withdrawn") as refused:
        await app.control.start(APP, one, StartRecording())
    await app.consents.note(APP, one, body(GRACE, "granted"))
    await app.control.start(APP, one, StartRecording())

    assert granted.may_start
    assert (409, "ConsentMissing") == (refused.value.http_status, refused.value.error_code)
    assert GRACE not in refused.value.message.lower()
    trail = [(one["operation"], one["outcome"]) for one in await trail_of(app.settings)]
    assert 2 == trail.count(("start", "ConsentMissing"))
    assert 3 == trail.count(("consent", "ok"))


async def test_a_withdrawal_pauses_the_recordings_of_its_conversation_alone(app: App, control: Control) -> None:
    """Whether consent is required or not; the answer, the trail and the list of what is live say so."""
    mine, other = await call(control), await call(control)
    paused, kept = [(await app.control.start(APP, one, StartRecording())).recording_id for one in (mine, other)]

    noted = await app.consents.note(APP, mine, body(ADA, "withdrawn"))

    assert ([(paused, "paused")], False) == (
        [(one.recording_id, one.outcome) for one in noted.recordings],
        noted.may_start,
    )
    assert ("inactive", "active") == (await state(app, mine, paused), await state(app, other, kept))
    trail = {one["operation"]: one for one in await trail_of(app.settings)}
    assert (paused, "consent was withdrawn") == (trail["pause"]["recordingId"], trail["pause"]["reason"])
    assert ([paused], "withdrawn") == (trail["consent"]["details"]["paused"], trail["consent"]["details"]["decision"])
    assert [] == [name for name in await listing(app.settings, "staging") if name.startswith("pending-pauses/")]
    # The service may end a recording before this app hears of it.
    await app.clients.service.stop(mine, paused)
    again = await app.consents.note(APP, mine, body(GRACE, "withdrawn"))
    assert ["notRecording"] == [one.outcome for one in again.recordings]


@REQUIRED
async def test_what_was_paused_does_not_go_on_before_consent_is_granted_again(app: App, control: Control) -> None:
    """A resume records people as a start does."""
    one = await call(control)
    await app.consents.note(APP, one, body(ADA, "granted"))
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id
    await app.control.pause(APP, one, recording_id, Operation())
    await app.consents.note(APP, one, body(ADA, "withdrawn"))

    with pytest.raises(ConsentMissing):
        await app.control.resume(APP, one, recording_id, Operation())
    assert "inactive" == await state(app, one, recording_id)
    await app.consents.note(APP, one, body(ADA, "granted"))
    await app.control.resume(APP, one, recording_id, Operation())

    assert "active" == await state(app, one, recording_id)


async def test_a_late_withdrawal_that_was_taken_back_pauses_nothing(app: App, control: Control) -> None:
    """It comes after the grant that followed it."""
    one, now = await call(control), datetime.now(UTC)
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id
    await app.consents.note(APP, one, body(ADA, "granted", at=now))

    noted = await app.consents.note(APP, one, body(ADA, "withdrawn", at=now - timedelta(minutes=1)))

    assert ([], True) == (noted.recordings, noted.may_start)
    assert "active" == await state(app, one, recording_id)


async def test_a_pause_that_fails_is_said_and_tried_again_by_the_timer(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as consent is withdrawn; where it was granted again, the marker goes and the recording stays."""
    first, second = await call(control), await call(control)
    ids = [(await app.control.start(APP, one, StartRecording())).recording_id for one in (first, second)]
    await control.call(
        "POST", "faults", {"method": "POST", "path": "*/pause", "kind": "status", "status": 500, "times": 2}
    )

    outcomes = [
        [one.outcome for one in (await app.consents.note(APP, each, body(ADA, "withdrawn"))).recordings]
        for each in (first, second)
    ]
    await app.consents.note(APP, second, body(ADA, "granted"))
    await run_timer(app, now=datetime.now(UTC))

    assert [["notPaused"], ["notPaused"]] == outcomes
    assert set(ids) == {line["recordingId"] for line in logged(caplog, "consent.not_paused")}
    assert ["inactive", "active"] == [await state(app, first, ids[0]), await state(app, second, ids[1])]
    assert {} == await listing(app.settings, "staging")
    by_timer = [one for one in await trail_of(app.settings) if one.get("kind") == "timer"]
    assert [("pause", "ok", ids[0])] == [(one["operation"], one["outcome"], one["recordingId"]) for one in by_timer]


async def test_a_withdrawal_pauses_also_while_storage_is_down(app: App, control: Control) -> None:
    """The fact can't be kept, so it is a 503 that says what was paused; sent again it is kept."""
    one = await call(control)
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id
    broken = FaultyBlobs(app.settings)
    for method in ("create", "read", "delete", "list_blobs"):
        broken.on(method, raises=ServiceRequestError("down"))

    with pytest.raises(StorageUnavailable, match=f"{recording_id[:32]} paused"):
        await with_blobs(app, broken).consents.note(APP, one, body(ADA, "withdrawn"))
    await broken.aclose()

    assert "inactive" == await state(app, one, recording_id)
    assert ["paused"] == [
        each.outcome for each in (await app.consents.note(APP, one, body(ADA, "withdrawn"))).recordings
    ]


async def test_without_the_index_the_facts_of_starts_say_what_is_recorded(app: App, control: Control) -> None:
    """One that has ended is not among them."""
    one = await call(control)
    ended = (await app.control.start(APP, one, StartRecording())).recording_id
    await app.control.stop(APP, one, ended, Operation())
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id

    class Down:
        async def live(self) -> list[Any]:
            raise ServiceRequestError("down")

        async def note_live_state(self, *_: object) -> None:
            return

    down: Any = Down()
    noted = await replace(app.consents, index=down).note(APP, one, body(ADA, "withdrawn"))

    assert [(recording_id, "paused")] == [(each.recording_id, each.outcome) for each in noted.recordings]


@pytest.mark.parametrize("lost", ["row", "table"])
async def test_a_recording_without_a_row_is_paused_too(app: App, control: Control, lost: str) -> None:
    """Its row could not be written, or the table is lost: the facts of starts name it beside those of the index."""
    one = await call(control)
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id
    if lost == "row":
        await app.clients.index.forget_live(recording_id)
    else:
        await app.clients.index._table().delete_table()

    noted = await app.consents.note(APP, one, body(ADA, "withdrawn"))

    assert [(recording_id, "paused")] == [(each.recording_id, each.outcome) for each in noted.recordings]


async def test_where_facts_cannot_be_read_the_answer_says_that_others_may_go_on(app: App, control: Control) -> None:
    """What the index has is paused nevertheless."""
    one = await call(control)
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id
    broken = FaultyBlobs(app.settings).on("list_blobs", name="archive/audit/", raises=ServiceRequestError("down"))

    with pytest.raises(StorageUnavailable, match=rf"not all recordings .*{recording_id[:32]} paused"):
        await with_blobs(app, broken).consents.note(APP, one, body(ADA, "withdrawn"))
    await broken.aclose()

    assert "inactive" == await state(app, one, recording_id)


@REQUIRED
async def test_a_fact_of_consent_that_cannot_be_parsed_counts_as_a_withdrawal(app: App, control: Control) -> None:
    """It may be one: a start is refused, and what goes on is paused when the timer or a resume looks."""
    one = await call(control)
    await app.consents.note(APP, one, body(ADA, "granted"))
    await app.consents.note(APP, one, body(GRACE, "withdrawn"))
    [name] = [
        name
        for name in await listing(app.settings, "archive")
        if name.startswith("consents/") and GRACE in str(await body_of(app.settings, "archive", name))
    ]
    await app.clients.blobs.delete("archive", name)
    await app.clients.blobs.create("archive", name, b"{")

    with pytest.raises(ConsentMissing, match=r"1 fact\(s\) of consent can't be parsed"):
        await app.control.start(APP, one, StartRecording())

    assert ([ADA], [], False) == (
        (found := await app.consents.view(APP, one)).granted,
        found.withdrawn,
        found.may_start,
    )


@REQUIRED
async def test_a_withdrawal_in_the_middle_of_a_start_pauses_what_was_started(app: App, control: Control) -> None:
    """It came after the start had looked, and before the recording was on record: the start looks again."""
    one = await call(control)
    await app.consents.note(APP, one, body(ADA, "granted"))

    async def withdraw() -> None:
        assert [] == (await app.consents.note(APP, one, body(ADA, "withdrawn"))).recordings

    slow = FaultyBlobs(app.settings).on("create", name="archive/started/", before=withdraw)
    busy = with_blobs(app, slow)
    # The row of what is live follows its fact here: the withdrawal finds neither.
    busy.clients.index.note_live = lambda _: asyncio.sleep(0)  # type: ignore[method-assign,assignment]
    started = await busy.control.start(APP, one, StartRecording())
    await slow.aclose()

    assert "inactive" == await state(app, one, started.recording_id)


@REQUIRED
async def test_a_start_is_refused_while_consents_cannot_be_read(app: App, control: Control) -> None:
    """It is unknown whether somebody has withdrawn."""
    one = await call(control)
    await app.consents.note(APP, one, body(ADA, "granted"))
    broken = FaultyBlobs(app.settings).on("list_blobs", raises=ServiceRequestError("down"))

    with pytest.raises(StorageUnavailable):
        await with_blobs(app, broken).control.start(APP, one, StartRecording())
    await broken.aclose()


@pytest.mark.parametrize("writes", range(6))
async def test_a_withdrawal_that_is_killed_at_any_write_ends_paused(app: App, control: Control, writes: int) -> None:
    """The caller got no answer and sends it again; or the timer finds the marker, if it had come that far."""
    one = await call(control)
    recording_id = (await app.control.start(APP, one, StartRecording())).recording_id
    said = body(ADA, "withdrawn", at=datetime.now(UTC))

    async with dying(app, writes) as killed:
        try:
            await killed.consents.note(APP, one, said)
        except Killed:
            await app.consents.note(APP, one, said)
    await run_timer(app, now=datetime.now(UTC))

    assert "inactive" == await state(app, one, recording_id)
    assert {} == await listing(app.settings, "staging")
    assert 1 == len([name for name in await listing(app.settings, "archive") if name.startswith("consents/")])


async def test_ids_of_one_call_share_their_consents(app: App, control: Control) -> None:
    """A conversation id and a server call id of the same URL; looking at them is on record once."""
    one = await call(control)
    await app.consents.note(APP, one, body(ADA, "granted", text="<b>\N{SNOWMAN}</b>"))
    await app.consents.note(APP, one, body("+1 (425) 555-0123", "withdrawn"))

    found = await app.consents.view(APP, one)
    await app.consents.view(APP, one)

    assert ([ADA], ["+1 (425) 555-0123"], False) == (found.granted, found.withdrawn, found.may_start)
    assert "<b>\N{SNOWMAN}</b>" == found.consents[0].text
    assert [one] == [entry["conversationId"] for entry in await trail_of(app.settings) if entry["operation"] == "view"]
    with pytest.raises(BadRequest):
        await app.consents.view(APP, "not-a-conversation")


def said(conversation_id: str, at: datetime, participant: str = ADA) -> Consent:
    """Make the fact that somebody granted consent at a time."""
    return Consent.of(body(participant, "granted", at=at), conversation_id, APP, at)


async def test_earlier_calls_of_a_room_cost_no_reads(azurite: Azurite, environment: dict[str, str]) -> None:
    """Its id keeps the facts of every call that was ever made there; those of a year must not cost a start its time."""
    now, counts = datetime.now(UTC), []
    async with harmed(azurite, environment) as (app, proxy):
        consents = Consents(app.clients.blobs)
        await consents.write(said("room:99", now, GRACE))
        for earlier in (range(0), range(2, 62)):
            for days in earlier:
                await consents.write(said("room:99", now - days * DAY))
            # A start; what is archived after three days, and after a month.
            for since in (now, now - 3 * DAY, now - 30 * DAY):
                proxy.log.clear()
                await consents.of("room:99", since=since)
                totals = proxy.log.view(0)["totals"]
                counts.append((totals["ListBlobs"]["requests"], totals["GetBlob"]["requests"]))

    # Lists of the day before the call, of each day since then, and of tomorrow; or of all.
    assert [(3, 1), (6, 1), (1, 1), (3, 1), (6, 1 + 3), (1, 1 + 30)] == counts


@pytest.mark.parametrize("conversation_id", ["3f2b0e4c-1111-4000-8000-000000000001", "room:99", CALL])
async def test_what_is_not_read_is_only_what_does_not_count(app: App, conversation_id: str) -> None:
    """Whenever the call began, what was said from a day before it on is found; of one call, all of it."""
    now = datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC)
    consents = Consents(app.clients.blobs, clock=lambda: now)
    moment = timedelta(microseconds=1)
    starts = [now, now - HOUR, now - 5 * DAY, now - 9 * DAY, now - 9 * DAY - moment, now - 40 * DAY]
    times = {now - 60 * DAY, *(one - DAY + away for one in starts for away in (-moment, 0 * moment, HOUR))}
    facts = [said(conversation_id, at) for at in sorted(times)]
    for one in facts:
        await consents.write(one)

    for since in [*starts, datetime.min.replace(tzinfo=UTC), now + 30 * DAY]:
        found = counting(await consents.of(conversation_id, since=since), since=since)
        assert counting(ConsentFacts(facts), since=since) == found


async def test_the_manifest_lists_consents_and_who_has_none(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Ada has granted, Alan has withdrawn, nobody asked Grace: two are an alert, which names nobody."""
    one = conversation.encode_url("https://conv.example/conv/x?i=1")
    async with storage_host(environment) as (app, host):
        await app.starts.note_started(Started(recording_id="cmlk", conversation_id=one))
        [job] = await receive(app, today(host.add(mp4(1000), people=(ADA, GRACE, "4:+14255550123"))))
        await app.ingest.run(job)
        await app.consents.note(APP, one, body("8:ACS:Ada", "granted"))
        # The same call by its server call id.
        await app.consents.note(APP, str(conversation.server_call_id(one)), body("+1 425 555 0123", "withdrawn"))

        await sweep(app, now=datetime.now(UTC))
        manifest = await app.recordings.newest_manifest(job.recording_key)
        shown = (await app.catalogue.get(job.recording_key, people=False)).model_dump_json()

    assert manifest
    assert [("8:ACS:Ada", "granted"), ("+1 425 555 0123", "withdrawn")] == [
        (each.participant, each.decision) for each in manifest.consents
    ]
    assert (GRACE, "4:+14255550123") == manifest.uncovered
    [line] = logged(caplog, "recording.uncovered")
    assert (job.recording_key, 2) == (line["recordingKey"], line["participants"])
    assert not any(name in text for name in (GRACE, "555 0123", "5550123", "8:ACS:Ada") for text in (str(line), shown))


async def test_nobody_is_uncovered_where_nobody_is_asked(environment: dict[str, str]) -> None:
    """Without CONSENT=required and without a fact; with it everybody in the metadata is."""
    found = []
    for consent in ("off", "required"):
        containers = {name: f"{environment[name]}-{consent}" for name in environment if name.endswith("_CONTAINER")}
        async with storage_host(environment | containers, CONSENT=consent) as (app, host):
            [job] = await receive(app, today(host.add(mp4(1000), people=(ADA,))))
            await app.ingest.run(job)
            await sweep(app, now=datetime.now(UTC))
            manifest = await app.recordings.newest_manifest(job.recording_key)
            found.append(manifest and manifest.uncovered)

    assert [(), (ADA,)] == found
