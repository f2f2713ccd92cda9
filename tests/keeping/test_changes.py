"""recording/keeping/changes.py: retention classes and holds are facts, and rows and trail follow."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite import Azurite
from recording.app import App, assemble
from recording.catalogue.browse import ListQuery, PageQuery
from recording.control.bodies import StartRecording
from recording.errors import BadRequest, Conflict, ManifestUnreadable, NotFound, PreconditionFailed
from recording.model import layout
from recording.model.caller import Caller
from recording.model.keeping import PlaceHold, SetRetention
from tests.keeping.worlds import CLASSES, MANAGER, cases, kept, lift, place, retain
from tests.support.emulator import Control
from tests.support.erasures import erase
from tests.support.facts import (
    add_fault,
    archived,
    faults_met,
    harmed,
    listing,
    put,
    stage,
    sweep,
    trail_of,
    with_blobs,
)
from tests.support.faults import FaultyBlobs, Killed

pytestmark = pytest.mark.settings(RETENTION_CLASSES=CLASSES)
DAY = timedelta(days=1)


async def held(app: App) -> list[str]:
    """Search by hold, and return the recordings that are found."""
    return [one.recording_key for one in (await app.catalogue.page(ListQuery(hold=True))).recordings]


async def test_a_recording_gets_the_default_class_with_its_archive(app: App, control: Control) -> None:
    """Its end stands in a fact, in its row, and in the answer about it; the manifest doesn't say it."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key

    detail = await app.catalogue.detail(key)
    assert detail.archived_at is not None
    until = detail.archived_at.astimezone(UTC) + 90 * DAY
    assert ("standard", []) == (detail.retention_class, detail.holds)
    assert detail.kept_until is not None
    assert timedelta() <= detail.kept_until - until < timedelta(seconds=1)
    [row] = (await app.catalogue.page(ListQuery())).recordings
    assert (detail.kept_until, None) == (row.kept_until, row.hold)
    assert [layout.retention_blob(key, 1)] == [
        name for name in await listing(app.settings, "archive") if name.startswith("retention/")
    ]
    assert [(layout.recording_key(detail.kept_until, key), key)] == await app.clients.index.ended(
        detail.kept_until, limit=9
    )
    assert [] == await app.clients.index.ended(detail.kept_until - timedelta(seconds=1), limit=9)


async def test_a_start_chooses_a_class_that_there_is(app: App, control: Control) -> None:
    """It is recorded with the start; an unknown one starts nothing."""
    service = app.control
    with pytest.raises(BadRequest, match=r"there are: standard, court, brief, history") as refused:
        await service.start(Caller(), "3f2b0e4c-1111-4000-8000-000000000001", StartRecording(retention_class="best"))
    assert "retentionClass" == refused.value.target
    assert not [name for name in await listing(app.settings, "archive") if name.startswith("started/")]


async def test_a_class_is_changed_with_a_reason(app: App, control: Control) -> None:
    """The last fact counts; it is on the trail, with the person who did it."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key

    assert "court" == (await retain(app, key, "court")).retention_class
    assert (await retain(app, key, "history")).kept_until is None
    answer = await retain(app, key, "court")

    detail = await app.catalogue.detail(key)
    assert (detail.kept_until, "court") == (answer.kept_until, detail.retention_class)
    [row] = (await app.catalogue.page(ListQuery())).recordings
    assert row.kept_until == answer.kept_until
    entries = [one for one in await trail_of(app.settings) if one["operation"] == "retain"]
    assert 3 == len(entries)
    assert ("object-of-ada", "a new contract", {"retentionClass": "court"}) == (
        entries[-1]["objectId"],
        entries[-1]["reason"],
        entries[-1]["details"],
    )
    with pytest.raises(BadRequest, match=r"no retention class of this name"):
        await retain(app, key, "best")
    with pytest.raises(NotFound):
        await retain(app, "20260301T100000000000Z-nobody", "court")


async def test_of_two_who_saw_the_same_one_changes_the_class(app: App, control: Control) -> None:
    """Also where both have looked before either has written."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    seen = {(await app.catalogue.detail(key)).etag}
    body = SetRetention(retention_class="court", reason="a new contract")

    async def other() -> None:
        await app.keeping.set_retention(MANAGER, key, body, match=seen)

    storage = FaultyBlobs(app.settings).on("create", name="retention/", before=other, times=1)
    with pytest.raises(PreconditionFailed):
        await with_blobs(app, storage).keeping.set_retention(
            MANAGER, key, SetRetention(retention_class="brief", reason="an order"), match=seen
        )
    await storage.aclose()
    with pytest.raises(PreconditionFailed):
        await app.keeping.set_retention(MANAGER, key, body, match=seen)

    assert ("court", {}) == ((await app.catalogue.detail(key)).retention_class, await app.keeping.keeping.pending())


async def test_a_class_whose_answer_was_lost_is_one_that_was_set(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """The client writes the fact again and finds it there: that is no change by somebody else, and rows follow."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await archived(app, control, 1000)
        key = job.recording_key
        await retain(app, key, "history")
        add_fault(proxy, operation="PutBlob", path="*/retention/*", kind="lostAnswer", times=1)
        seen = {(await app.catalogue.detail(key)).etag}

        body = SetRetention(retention_class="brief", reason="a new contract")
        answer = await app.keeping.set_retention(MANAGER, key, body, match=seen)

        assert (1, "brief", 3) == (faults_met(proxy), answer.retention_class, (await kept(app, key)).number)
        assert answer.kept_until
        assert 1 == len(await app.clients.index.ended(answer.kept_until, limit=10))
        assert {} == await app.keeping.keeping.pending()


async def test_a_hold_whose_answer_was_lost_is_lifted_if_the_recording_is_being_erased(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """It was refused: taken for one that the case had placed before, it would stay, and nobody would know of it."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await archived(app, control, 1000)
        add_fault(proxy, operation="PutBlob", path="*/holds/*", kind="lostAnswer", times=1)
        answers = iter([False, True])

        async def is_erased(_: str) -> bool:
            return next(answers)

        changes = replace(app.keeping, is_erased=is_erased)
        with pytest.raises(Conflict, match="being erased"):
            await changes.place(MANAGER, job.recording_key, PlaceHold(case="case 1", reason="subpoena"))

        assert (1, ()) == (faults_met(proxy), (await kept(app, job.recording_key)).holds)


async def test_a_class_that_comes_too_late_for_an_erasure_does_not_count(app: App, control: Control) -> None:
    """It was refused: it must not stop the erasure at the end of the class that the recording has."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    await retain(app, key, "brief")
    answers = iter([False, True])

    async def is_erased(_: str) -> bool:
        return next(answers)

    racing = replace(app.keeping, is_erased=is_erased)
    with pytest.raises(Conflict, match="being erased"):
        await racing.set_retention(MANAGER, key, SetRetention(retention_class="court", reason="a new contract"))

    now = await app.keeping.keeping.find(key)
    assert ("brief", 1, {}) == (now.retention_class, now.days, await app.keeping.keeping.pending())
    entry = (await trail_of(app.settings))[-1]
    assert ("Erased", layout.key_digest(key), None) == (
        *(entry["outcome"], entry["erasure"], entry.get("recordingKey")),
    )


async def test_what_is_asked_of_an_erased_recording_does_not_name_it(app: App, control: Control) -> None:
    """Its trail has that, beside what an older version has written under its key."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    erasure = await erase(app, key)
    with pytest.raises(NotFound):
        await place(app, key, "case 1")

    assert key not in str(await trail_of(app.settings))
    await app.trail.write(MANAGER, action="hold", recording=key)
    page = await app.trail_view.of_recording(key, PageQuery(), url="https://app.example/trail")
    assert ["hold", "hold", "erase"] == [one.action for one in page.entries if one.action != "erased"]
    assert {key, None} == {one.recording_key for one in page.entries}
    assert {erasure, None} == {one.erasure for one in page.entries}


async def test_each_case_holds_a_recording_and_lifts_on_its_own(app: App, control: Control) -> None:
    """A repetition changes nothing; a case that never held it is unknown."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key

    assert ["case 1"] == cases(await place(app, key, "case 1"))
    assert ["case 1"] == cases(await place(app, key, "case 1", "asked once more"))
    answer = await place(app, key, "case 2")
    assert ["case 1", "case 2"] == cases(answer)
    assert ("subpoena", "object-of-ada") == (answer.holds[0].reason, answer.holds[0].by)
    assert answer.holds == (await app.catalogue.detail(key)).holds
    assert [key] == await held(app)
    with pytest.raises(NotFound, match=r"no hold of this case"):
        await lift(app, key, "case 3")

    assert ["case 2"] == cases(await lift(app, key, "case 1"))
    assert ["case 2"] == cases(await lift(app, key, "case 1"))
    assert [key] == await held(app)
    assert [] == cases(await lift(app, key, "case 2"))
    assert [] == await held(app)
    assert ["case 1"] == cases(await place(app, key, "case 1"))
    assert [key] == await held(app)
    assert not [name for name in await listing(app.settings, "staging") if name.startswith(layout.PENDING_KEEPING)]


async def test_a_manifest_that_cannot_be_read_is_named_and_nothing_changes(app: App, control: Control) -> None:
    """An operator learns which blob to restore; and what was to follow other changes still does."""
    [broken], [other] = [await archived(app, control, 1000) for _ in range(2)]
    name = layout.manifest_blob(broken.recording_key)
    await put(app.settings, "archive", name, b"{")

    for change in (place, lift, retain):
        with pytest.raises(ManifestUnreadable, match=name):
            await change(app, broken.recording_key, "standard")
    assert not [name for name in await listing(app.settings, "archive") if name.startswith("holds/")]

    for job in (broken, other):
        await app.keeping.keeping.mark(job.recording_key)
    await sweep(app)
    left = [name for name in await listing(app.settings, "staging") if name.startswith(f"{layout.PENDING_KEEPING}/")]
    assert 1 == len(left)
    assert broken.recording_key in left[0]


async def test_a_hold_keeps_a_class_from_being_shortened(app: App, control: Control) -> None:
    """A longer one is possible."""
    [job] = await archived(app, control, 1000)
    await place(app, job.recording_key, "case 1")
    with pytest.raises(Conflict, match=r"on hold \(case 1\)") as refused:
        await retain(app, job.recording_key, "brief")
    assert "OnHold" == refused.value.error_code

    await retain(app, job.recording_key, "court")
    await lift(app, job.recording_key, "case 1")
    assert "brief" == (await retain(app, job.recording_key, "brief")).retention_class


async def test_a_recording_in_flight_is_held_and_stays_so_in_the_archive(app: App, control: Control) -> None:
    """Chunks that arrive later are held with it, for the hold is on the recording."""
    [job] = await stage(app, await control.recording(1000))
    await sweep(app, archives_all=False)
    await place(app, job.recording_key, "case 1")
    assert [job.recording_key] == await held(app)
    await sweep(app, archives_all=False)
    assert [job.recording_key] == await held(app)

    await sweep(app)
    assert ["case 1"] == cases(await app.catalogue.detail(job.recording_key))
    assert [job.recording_key] == await held(app)


async def test_holds_and_ends_survive_a_lost_index(app: App, control: Control) -> None:
    """They are made again from the facts."""
    [job] = await archived(app, control, 1000)
    await place(app, job.recording_key, "case 1")
    [before] = (await app.catalogue.page(ListQuery())).recordings
    await app.clients.index._table().delete_table()

    async for _ in app.reindex.run(None, None):
        pass

    assert [before] == (await app.catalogue.page(ListQuery(hold=True))).recordings
    assert before.kept_until
    assert await app.clients.index.ended(before.kept_until, limit=9)
    assert {job.recording_key: []} == await app.reindex.differences()


async def test_a_kill_at_any_write_leaves_a_hold_that_counts_or_none(app: App, control: Control) -> None:
    """The timer makes rows follow, and no marker is left."""
    jobs = {
        writes: (await stage(app, await control.recording(1000), event_id=f"event-{writes}"))[0]
        for writes in (0, 1, 2, 3, 9)
    }
    assert len(jobs) == len((await sweep(app)).archived)
    for writes, job in jobs.items():
        dying = FaultyBlobs(app.settings, kill_after=writes)
        with contextlib.suppress(Killed):
            await place(with_blobs(app, dying), job.recording_key, "case 1")
        await dying.aclose()

    await sweep(app)

    are_held = {writes: bool((await kept(app, job.recording_key)).holds) for writes, job in jobs.items()}
    assert {writes: writes >= 2 for writes in jobs} == are_held
    assert {job.recording_key for writes, job in jobs.items() if writes >= 2} == {*await held(app)}
    assert not [name for name in await listing(app.settings, "staging") if name.startswith(layout.PENDING_KEEPING)]


async def test_a_class_that_is_in_the_settings_no_more_is_for_ever(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A recording whose start chose it must not be deleted by another one's days."""
    [job] = await archived(app, control, 1000)
    store = assemble(app.settings, app.clients).keeping.keeping
    found = await store.assign("20260301T100000000000Z-later", "bygone", now=datetime.now(UTC))

    assert ("bygone", None) == (found.retention_class, found.days)
    assert "retention.unknown_class" in caplog.text
    assert "standard" == (await store.assign(job.recording_key, "court", now=datetime.now(UTC))).retention_class
