"""recording/erasing/job.py: a recording is erased, whatever is in the way, and its certificate is true."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from local.azurite import Azurite
from local.storage_versions import Action, Keeping
from recording.app import App
from recording.erasing.blocked import Blocked
from recording.errors import Conflict
from recording.model import index, layout
from recording.model.erasure import ErasureAsked, PendingErasure
from recording.model.job import ChunkJob
from recording.model.keeping import HoldPlaced
from recording.model.stored import Container
from recording.storage.blobs import Blobs
from recording.storage.places import Places, Remaining
from tests.erasing.worlds import certificate, ends_after_kills, everything
from tests.keeping.worlds import CLASSES, retain
from tests.support.archives import HOUR, quarantined, rows_of
from tests.support.emulator import Control, file_event
from tests.support.erasures import ALAN, DAY, SETTLED, KilledBlobs, ask, do, erase, later, left
from tests.support.facts import archived, body_of, harmed, listing, put, receive, stage, sweep, trail_of, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import mp4, storage_host, today

PEOPLE = ("8:acs:ada", "8:acs:grace")


async def test_a_recording_is_gone_with_everything_that_names_it(environment: dict[str, str]) -> None:
    """Content, metadata, events, manifests, endings, starts, calls, rows, the source; the trail stays, nameless."""
    async with storage_host(environment, SOURCE_RETENTION_HOURS="48") as (app, host):
        event = today(host.add(mp4(5000), people=PEOPLE), host.add(mp4(6000)))
        for job in await receive(app, event):
            await app.ingest.run(job)
        [key] = (await sweep(app)).archived
        await put(app.settings, "archive", layout.call_blob("c2Nh"), b'{"correlationId": "c-1"}')
        await put(app.settings, "staging", layout.pending_live_blob("cmlk"), b'{"recordingId": "cmlk"}')
        await app.handout.view(ALAN, key)
        documents = [*host.bodies]

        erasure = await erase(app, key)

        told = await certificate(app, erasure)
        assert (True, 2) == (told.is_whole, told.found["chunks"])
        assert told.removed == told.found
        text = await everything(app)
        assert not any(one in text for one in (key, "cmlk", "c2Nh", "Smith", *PEOPLE, *documents))
        assert set() == await left(app)
        assert {} == host.bodies
        rows = [one async for one in app.clients.index.recording_keys()]
        assert key not in {one for one, _ in rows}
        assert ["erase", "view", "erased"] == sorted(
            (one["operation"] for one in await trail_of(app.settings)), key=["erase", "view", "erased"].index
        )
        assert {erasure} == {one.get("erasure") for one in await trail_of(app.settings)}
        assert layout.key_digest(key) == erasure
        assert {*map(layout.document_digest, documents), layout.recording_digest("cmlk"), erasure} == set(told.digests)


async def test_rows_are_gone_where_a_manifest_cannot_be_read(environment: dict[str, str]) -> None:
    """Those of each revision: by month, call, person and recording id, and when its class would have ended."""
    more = {"SOURCE_RETENTION_HOURS": "48", "RETENTION_CLASSES": "standard=90"}
    async with storage_host(environment, **more) as (app, host):
        chunks = [host.add(mp4(5000 + one), people=PEOPLE[one : one + 1]) for one in range(2)]
        for number in range(2):
            for job in await receive(app, today(*chunks[: number + 1], event_id=f"e{number}")):
                await app.ingest.run(job)
            [key] = (await sweep(app)).archived
        kinds = {one.partition(":")[0] for one in await rows_of(app, key)}
        assert kinds == {"participant", "month", "call", "recording", "ends"}
        for revision in (1, 2):
            await put(app.settings, "archive", layout.manifest_blob(key, revision), b"{")

            if revision == 1:
                # What can be read behind it names the person who came later.
                digests = await app.clients.index.digests()
                scope = await app.erase.scopes.ids(key)
                assert f"participant:{digests.participant(PEOPLE[1])}" in {partition for partition, _ in scope.rows}
        await erase(app, key)

        assert [] == await rows_of(app, key)


async def test_it_happens_when_its_time_has_come(app: App, control: Control) -> None:
    """Not before, and a message that comes too early does nothing."""
    [job] = await archived(app, control, 1000)
    await ask(app, job.recording_key)

    assert [] == await do(app, timedelta(hours=23))
    await app.erase.run(job.recording_key)

    assert await app.recordings.newest_manifest(job.recording_key)
    assert [] == list(await app.tombstones.all())
    assert [job.recording_key] == await do(app)
    # Its message may have been lost, but not each five minutes.
    assert [] == await do(app, DAY + timedelta(minutes=5))


async def test_what_is_in_flight_is_erased_too(app: App, control: Control) -> None:
    """With its blocks that nobody has committed; what comes later finds the tombstone."""
    recording = await control.recording(1000, 2000)
    jobs = await stage(app, recording)
    await ask(app, jobs[0].recording_key)

    await do(app)

    assert {layout.ERASURES} == {name.partition("/")[0] for name in await left(app)}
    assert [] == await receive(app, file_event(recording, event_id="late"))
    for job in jobs:
        await app.ingest.run(job)
    await do(app, SETTLED)
    assert set() == await left(app)


async def test_what_arrives_while_it_is_done_is_gone_in_the_end(app: App, control: Control) -> None:
    """A job that began before the tombstone may write behind it: the places are emptied once more, two hours later."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    erasure = (await ask(app, key)).erasure_id
    await do(app)
    before = await certificate(app, erasure)
    await put(app.settings, "archive", layout.manifest_blob(key, 2), b"{}")
    await put(app.settings, "staging", job.content_blob, b"x")

    await do(app, SETTLED)

    told = await certificate(app, erasure)
    assert (1, 2) == (before.revision, told.revision)
    assert told.found["manifests"] == before.found["manifests"] + 1
    assert set() == await left(app)


@pytest.mark.derived
async def test_events_and_copies_in_other_places_are_removed_and_counted(app: App, control: Control) -> None:
    """Quarantined and dead-lettered events that name it, joined files and exports; those of others stay."""
    recording = await control.recording(1000)
    jobs = await stage(app, recording)
    await sweep(app)
    key, mine, other = jobs[0].recording_key, {"broken": jobs[0].document_id}, {"broken": "anöther"}
    await receive(app, json.dumps(mine))
    await receive(app, json.dumps(other))
    await app.clients.blobs.create_containers("dead_letter")
    letters = {"1.json": [mine, other], "2.json": [mine], "3.json": [other], "4": mine}
    for name, events in letters.items():
        await put(app.settings, "dead_letter", f"topic/SUB/2026/3/1/10/{name}", json.dumps(events).encode())
    exports = {"exports/" + "e" * 32 + f"/recordings/{key}.json", "exports/" + "e" * 32 + "/index.html"}
    joined = {f"joined/{key}/1-{'0' * 16}/file.json", f"joined/{key}/1-{'0' * 16}/p-0.mp4"}
    others = {f"joined/{key[:-1]}x/1-{'0' * 16}/file.json", "exports/" + "f" * 32 + "/index.html"}
    for name in exports | joined | others:
        await put(app.settings, "derived", name, b"{}")

    told = await certificate(app, await erase(app, key))

    kinds = {"quarantined events": 1, "dead letters": 3, "joined files": 2, "files of exports": 2}
    assert kinds == {kind: told.found.get(kind) for kind in kinds}
    assert told.found == told.removed
    assert {"ACS"} == {one.place for one in told.left}
    assert 1 == len(await quarantined(app))
    assert others == (await listing(app.settings, "derived")).keys()
    # What it lay beside may be the only trace of another recording.
    rest = [await body_of(app.settings, "dead_letter", name) for name in await listing(app.settings, "dead_letter")]
    assert [[other], [other]] == rest


async def test_a_kill_at_a_write_ends_the_same(app: App, control: Control) -> None:
    """The next try finds what is done, and goes on; it is never half erased in the end.

    One kill of each kind: at what was decided, at a tombstone, at a deletion; every write is in the acceptance tests.
    """
    assert [True] * 3 == await ends_after_kills(app, control, (1, 3, 16))


@pytest.mark.parametrize("when", ["before it begins", "as it begins"])
async def test_a_hold_forbids_it_at_the_last_moment(app: App, control: Control, when: str) -> None:
    """Nothing is removed; it ends as refused, without the name of the case."""
    [job] = await archived(app, control, 1000)
    key, before = job.recording_key, await listing(app.settings, "archive")
    erasure = (await ask(app, key)).erasure_id
    answers = iter([["Smith v. Doe"]] if when == "before it begins" else [[], ["Smith v. Doe"]])

    async def cases(_: str) -> list[str]:
        return next(answers)

    due = later(app, DAY)
    await replace(due.erase, blocked=Blocked(app.clients.blobs, cases)).run(key)

    found = await app.erasure.get(erasure)
    assert ("refused", ["hold"]) == (found.state, list(dict.fromkeys(found.reasons)))
    assert before.items() <= (await listing(app.settings, "archive")).items()
    assert frozenset() == await app.tombstones.all()
    assert [] == await do(app, SETTLED)
    assert not await app.erasure.store.has_begun(key)


async def test_what_comes_while_everything_is_removed_is_removed_too(app: App, control: Control) -> None:
    """The fact of a hold that is refused and not withdrawn yet: the certificate lists nothing that may be removed."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    erasure = (await ask(app, key)).erasure_id
    hold = f"{layout.holds_folder(key)}{'0' * 64}/00001-placed.json"
    looks = 0

    class Late(Places):
        async def remaining(self, where: Container, prefixes: Iterable[str], **wanted: Any) -> list[Remaining]:
            nonlocal looks
            if where == "archive" and (looks := looks + 1) == 1:
                await put(app.settings, "archive", hold, b"{}")
            return await super().remaining(where, prefixes, **wanted)

    due = later(app, DAY)
    removal = replace(due.erase.removal, places=Late(app.clients.blobs))
    await replace(due.erase, removal=removal).run(key)

    assert (hold in await listing(app.settings, "archive"), looks > 1) == (False, True)
    assert ["ACS"] == [one.place for one in (await certificate(app, erasure)).left]


KEEPING: list[tuple[list[Action], bool, set[str]]] = [
    (["deleteVersion", "permanentDelete", "policy"], True, set()),
    (["deleteVersion"], False, {"soft-deleted"}),
    ([], False, {"AuthorizationPermissionMismatch"}),
]


async def test_the_certificate_says_what_the_platform_keeps(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """With versions on: nothing with the role and permanent deletion; else what remains, and why; never a name."""
    async with harmed(azurite, environment) as (app, proxy):
        for number, (actions, permanent, why) in enumerate(KEEPING):
            archive_and_quarantine = "*a[rn][ct]*"
            proxy.versioned.keeping = Keeping(
                actions=actions, permanentDelete=permanent, containers=archive_and_quarantine
            )
            jobs = await stage(app, await control.recording(1000), event_id=f"event-{number}")
            await sweep(app)
            key = jobs[0].recording_key
            await receive(app, json.dumps({"broken": jobs[0].document_id}))
            told = await certificate(app, await erase(app, key))

            places = ("archive", "quarantine")
            assert [why, why] == [{one.why for one in told.left if one.place == at} for at in places], why
            # A fact of the trail was written again without names; what the platform keeps of the first one is listed.
            assert bool(why) == ("facts of the trail" in {one.kind for one in told.left})
            # What is soft-deleted is removed; versions that may not be deleted are not.
            expected = 0 if why == {"AuthorizationPermissionMismatch"} else told.found["chunks"]
            assert expected == told.removed["chunks"]
            assert key not in told.model_dump_json()
            assert all(len(one.digest) == 64 for one in told.left)


async def test_a_policy_that_is_not_locked_is_dropped(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """It was set for the retention class; a locked one forbids the erasure, and the answer says until when."""
    async with harmed(azurite, environment) as (app, proxy):
        proxy.versioned.keeping = Keeping(containers=app.settings.archive_container, permanentDelete=True)
        first, second = [
            await stage(app, await control.recording(size), event_id=f"event-{size}") for size in (1000, 2000)
        ]
        await sweep(app)
        folder = f"{layout.archive_folder(first[0].recording_key)}/"
        for one in await app.clients.blobs.everything("archive", folder):
            await set_policy(app.clients.blobs, one.name, locked=False)
        told = await certificate(app, await erase(app, first[0].recording_key))
        assert {"ACS"} >= {one.place for one in told.left}

        await set_policy(app.clients.blobs, layout.manifest_blob(second[0].recording_key), locked=True)
        with pytest.raises(Exception, match=r"locked policy until 20\d\d-"):
            await ask(app, second[0].recording_key)


async def set_policy(blobs: Blobs, name: str, *, locked: bool) -> None:
    """Put a blob of the archive under a policy."""
    from azure.storage.blob import ImmutabilityPolicy

    policy = ImmutabilityPolicy(
        expiry_time=datetime.now(UTC) + timedelta(days=900), policy_mode="locked" if locked else "unlocked"
    )
    await blobs._containers["archive"].get_blob_client(name).set_immutability_policy(policy)


@pytest.mark.settings(RETENTION_CLASSES=CLASSES, ERASURE_DELAY_HOURS="0")
async def test_a_source_that_cannot_be_deleted_is_in_the_certificate(app: App, control: Control) -> None:
    """The 2021 preview API has no deletion: ACS does it itself, and the certificate says when."""
    [job] = await archived(app, control, 1000)
    await retain(app, job.recording_key, "brief")
    await later(app, DAY).erasure.end_of_retention(job.recording_key)

    await do(app, DAY + timedelta(minutes=1))

    told = await certificate(app, layout.key_digest(job.recording_key))
    [source] = told.left
    assert ("ACS", "retention-ended") == (source.place, told.reason)
    assert source.until
    # Of its 48 hours, the class has taken 24.
    assert timedelta(hours=23) < source.until - told.checked_at < timedelta(hours=25)


async def test_a_source_of_several_events_is_deleted_once(environment: dict[str, str]) -> None:
    """Each event may list a document several times, and each later one says that ACS has it for longer."""
    async with storage_host(environment, SOURCE_RETENTION_HOURS="48") as (app, host):
        chunk = host.add(mp4(5000), people=PEOPLE)
        for number, at in enumerate((app.timer.clock() - HOUR, app.timer.clock())):
            for job in await receive(app, today(chunk, chunk, event_id=f"e{number}"), now=at):
                await app.ingest.run(job)
        [key] = (await sweep(app)).archived

        scope = await app.erase.scopes.ids(key)

        [source] = scope.sources
        assert timedelta(hours=47, minutes=30) < source.until - app.timer.clock() < timedelta(hours=48)


@pytest.mark.settings(RETENTION_CLASSES=CLASSES, ERASURE_DELAY_HOURS="0")
async def test_the_end_of_retention_asks_once_and_waits_for_holds(app: App, control: Control) -> None:
    """Whoever plans it asks again: it answers with nothing while it is too early, asked for, forbidden or done."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    await retain(app, key, "brief")
    due = later(app, DAY).erasure

    async def cases(_: str) -> list[str]:
        return ["K-1"]

    held = replace(due, blocked=Blocked(app.clients.blobs, cases))
    assert await held.end_of_retention(key) is None
    assert await app.erasure.end_of_retention(key) is None
    assert layout.key_digest(key) == await due.end_of_retention(key)
    assert await due.end_of_retention(key) is None
    await do(app, DAY + timedelta(minutes=1))
    assert await due.end_of_retention(key) is None
    assert layout.key_digest(key) in await app.tombstones.all()


async def test_rows_of_the_list_are_made_again(app: App, control: Control) -> None:
    """From the facts, as all rows."""
    [job] = await archived(app, control, 1000)
    erasure = await erase(app, job.recording_key)
    [row], _ = await app.clients.index.erasures(limit=10)
    await app.clients.index.delete([(index.ERASURES, f"{index.inverted(row.asked_at)}-{erasure}")])

    _ = [one async for one in app.reindex.run(None, None)]

    assert ([row], None) == await app.clients.index.erasures(limit=10)


async def test_an_erasure_that_the_list_does_not_show_is_not_forgotten(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table was out of reach when it was done: its job fails, and the next run of the timer queues it again."""
    [job] = await archived(app, control, 1000)

    async def out_of_reach(_: Any) -> None:
        raise ServiceRequestError("no answer")

    async def without_table(_: Any) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(app.clients.index, "note_erasure", without_table)
        patch.setattr(app.clients.index, "write_erasure", out_of_reach)
        await ask(app, job.recording_key)
        assert await do(app) == [job.recording_key]
        with pytest.raises(ServiceRequestError):
            await do(app, SETTLED)
    assert ([], None) == await app.clients.index.erasures(limit=10)

    assert await do(app, SETTLED + HOUR) == [job.recording_key]
    [row], _ = await app.clients.index.erasures(limit=10)
    assert row.state == "erased"
    assert not [name for name in await listing(app.settings, "staging") if name.startswith(layout.ERASURES)]


@pytest.mark.parametrize("since", [None, "the last run of the timer", "the first hour of the day", "always"])
async def test_the_trail_names_nothing_also_after_the_table_was_lost(
    app: App, control: Control, since: str | None
) -> None:
    """Its rows are gone: the facts of the days are read for which the index doesn't say that it has all rows."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    await app.handout.view(ALAN, key)
    await app.clients.index._table().delete_table()
    if since == "the last run of the timer":
        await app.trail_rows.catch_up(app.timer.clock() + timedelta(hours=2))
    if since == "the first hour of the day":
        await app.clients.index.mark(index.TRAIL_SINCE, f"{layout.trail_folder(app.timer.clock())}00~")
    if since == "always":
        _ = [one async for one in app.trail_rows.rebuild(None, None)]

    erasure = await erase(app, key)

    assert key not in await everything(app)
    _ = [one async for one in app.trail_rows.rebuild(None, None)]
    assert [] == await app.clients.index.trail(key, after="", limit=10)
    again = {entry.action for _, entry in await app.clients.index.trail(erasure, after="", limit=10)}
    assert {"view", "erase", "erased"} == again


async def test_the_trail_of_an_erased_recording_is_found_by_its_key(app: App, control: Control) -> None:
    """Who knows the key sees who had access, by object ids."""
    jobs: list[ChunkJob] = await archived(app, control, 1000)
    key = jobs[0].recording_key
    await app.handout.view(ALAN, key)
    erasure = await erase(app, key)

    entries = [entry for _, entry in await app.clients.index.trail(erasure, after="", limit=10)]

    assert {"view", "erase", "erased"} == {entry.action for entry in entries}
    assert {"oid-alan", None} == {entry.object_id for entry in entries}
    assert {(None, None, None)} == {(entry.who, entry.recording_key, entry.reason and None) for entry in entries}
    assert await body_of(app.settings, "archive", layout.tombstone_blob(erasure))


async def fails(app: App, blobs: Blobs, key: str) -> None:
    """Do an erasure in a process that doesn't come to its end, a day later."""
    with contextlib.suppress(Killed, BaseExceptionGroup):
        await with_blobs(later(app, DAY), blobs).erase.run(key)


@pytest.mark.parametrize("faster", ["the one that found nothing", "the one that found the hold"])
async def test_two_processes_go_on_or_stop_together(app: App, control: Control, faster: str) -> None:
    """One has looked for holds before a case places one, and one after it: what is written first counts for both."""
    [job] = await archived(app, control, 1000)
    key, before = job.recording_key, await listing(app.settings, "archive")
    erasure = (await ask(app, key)).erasure_id
    fact = HoldPlaced(case="K-1", reason="a hearing", at=datetime.now(UTC))
    placed: list[bool] = []

    async def meanwhile() -> None:
        if faster == "the one that found the hold":
            await app.keeping.keeping.place(key, fact)
            await later(app, DAY).erase.run(key)
            placed.append(not await app.erasure.store.has_begun(key))

    async def afterwards() -> None:
        if faster == "the one that found nothing":
            with pytest.raises(Conflict, match="being erased"):
                await app.keeping.place_fact(key, fact)
            await app.keeping.keeping.place(key, fact)
            await later(app, DAY).erase.run(key)

    slow = FaultyBlobs(app.settings).on("create", name="-checked", before=meanwhile, after=afterwards, times=1)
    await with_blobs(later(app, DAY), slow).erase.run(key)
    await slow.aclose()

    found = await app.erasure.get(erasure)
    if faster == "the one that found the hold":
        assert (["refused", "hold"], [True]) == ([found.state, *found.reasons], placed)
        assert before.items() <= (await listing(app.settings, "archive")).items()
        assert frozenset() == await app.tombstones.all()
        assert [] == await do(app, SETTLED)
    else:
        assert "erased" == found.state
        assert await app.recordings.newest_manifest(key) is None
        await do(app, SETTLED)
        assert set() == await left(app)


async def test_one_that_was_refused_by_a_slower_process_goes_on(app: App, control: Control) -> None:
    """It has begun: who finds a hold after that leaves what the next try needs."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    erasure = (await ask(app, key)).erasure_id
    dying = KilledBlobs(app.settings, kill_after=12)

    async def cases(_: str) -> list[str]:
        await fails(app, dying, key)
        return ["K-1"]

    due = later(app, DAY)
    await replace(due.erase, blocked=Blocked(app.clients.blobs, cases)).run(key)
    await dying.aclose()

    await do(app, SETTLED)
    assert "erased" == (await app.erasure.get(erasure)).state
    assert await app.recordings.newest_manifest(key) is None


async def test_a_hold_that_lands_between_two_tombstones_stops_nothing(app: App, control: Control) -> None:
    """Its case was told that it could not be placed; the stones that are there would empty staging."""
    recording = await control.recording(1000)
    [job] = await stage(app, recording)
    key = job.recording_key
    erasure = (await ask(app, key)).erasure_id
    dying = KilledBlobs(app.settings).on("create", name=f"tombstones/{erasure}", raises=Killed())
    await fails(app, dying, key)
    await dying.aclose()
    assert {layout.document_digest(job.document_id)} == await app.tombstones.all()

    await app.keeping.keeping.place(key, HoldPlaced(case="K-1", reason="a hearing", at=datetime.now(UTC)))
    assert await app.erasure.store.has_begun(key)
    await do(app)

    assert "erased" == (await app.erasure.get(erasure)).state
    await do(app, SETTLED)
    assert set() == await left(app)


async def test_a_later_asking_hides_none_that_goes_on(app: App, control: Control) -> None:
    """Whoever places a hold hears of each asking."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    asked = await ask(app, key)
    dying = KilledBlobs(app.settings, kill_after=4)
    await fails(app, dying, key)
    await dying.aclose()
    second = ErasureAsked(
        erasure=asked.erasure_id, number=2, at=datetime.now(UTC), happens_at=asked.happens_at, reason="objection"
    )
    await app.erase.store.ask(PendingErasure(recording_key=key, asked=second))

    assert await app.erasure.store.has_begun(key)


async def test_what_an_earlier_version_has_stopped_stays_stopped(app: App, control: Control) -> None:
    """It wrote a fact of another name, and none if it went on."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    erasure = (await ask(app, key)).erasure_id
    begun = {"decision": "begun", "at": "2026-11-03T09:12:44Z"}
    stopped = {"at": "2026-11-03T09:12:44Z", "reasons": ["hold"]}
    await put(app.settings, "archive", layout.erasure_blob(erasure, 1, "decided"), json.dumps(begun).encode())
    assert await app.erasure.store.has_begun(key)
    await put(app.settings, "archive", layout.erasure_blob(erasure, 1, "stopped"), json.dumps(stopped).encode())

    assert not await app.erasure.store.has_begun(key)
    found = await app.erasure.get(erasure)
    assert ("refused", ["hold"]) == (found.state, found.reasons)
    await do(app)
    assert await app.recordings.newest_manifest(key)
