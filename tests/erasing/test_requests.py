"""recording/erasing/requests.py: an erasure is asked for, repeated, called off, looked at."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from recording.app import App
from recording.catalogue import erasures
from recording.catalogue.browse import PageQuery
from recording.erasing.blocked import Blocked
from recording.erasing.requests import ErasePerson, ErasureRequests, PersonErasures
from recording.errors import BadRequest, Conflict, NotFound, RecordingError, StorageUnavailable, TrailUnavailable
from recording.model import index, layout
from recording.model.index import Digests
from recording.model.keeping import HoldPlaced, PlaceHold
from recording.people.find import PersonFinder
from tests.keeping.worlds import CLASSES, place, retain
from tests.support.emulator import Control
from tests.support.erasures import ALAN, BODY, DAY, SETTLED, ask, do, erase, later, left, open_of
from tests.support.facts import archived, listing, put, receive, stage, trail_of, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import mp4, storage_host, today

UNKNOWN = "20260301T100000000000Z-b7e0"


async def test_it_is_asked_for_once(app: App, control: Control) -> None:
    """A repetition answers what was asked first; the trail has it, with the reason in words."""
    [job] = await archived(app, control, 1000)

    first = await ask(app, job.recording_key)
    again = await ask(app, job.recording_key, after=timedelta(hours=5))

    assert again == first
    assert first.erasure_id == layout.key_digest(job.recording_key)
    assert timedelta(hours=23) < first.happens_at - datetime.now(UTC) < timedelta(hours=25)
    [entry] = await trail_of(app.settings)
    assert ("erase", BODY.text, "oid-alan") == (entry["operation"], entry["reason"], entry["objectId"])
    found = await app.erasure.get(first.erasure_id)
    assert ("asked", job.recording_key, "objection") == (found.state, found.recording_key, found.reason)
    asked = await open_of(app, job.recording_key)
    assert asked is not None
    assert asked.happens_at == first.happens_at


async def test_it_can_be_called_off_until_it_has_begun(app: App, control: Control) -> None:
    """And asked for again; what the archive keeps of it has no personal data."""
    [job] = await archived(app, control, 1000)
    key = job.recording_key
    before = await left(app)
    erasure = (await ask(app, key)).erasure_id

    await app.erasure.call_off(ALAN, key)

    assert before == await left(app)
    found = await app.erasure.get(erasure)
    assert ("calledOff", "oid-alan", None) == (found.state, found.called_off_by, found.recording_key)
    assert [] == await do(app)
    with pytest.raises(NotFound):
        await app.erasure.call_off(ALAN, key)
    await ask(app, key)
    assert [key] == await do(app)
    with pytest.raises(Conflict, match="has begun") as raised:
        await app.erasure.call_off(ALAN, key)
    assert "TooLate" == raised.value.error_code
    late = [one for one in await trail_of(app.settings) if one["operation"] == "calloff"][-1]
    assert ("TooLate", 409, erasure, None) == (
        *(late["outcome"], late["status"], late["erasure"], late.get("recordingKey")),
    )
    records = [name for name in await listing(app.settings, "archive") if name.startswith(layout.ERASED)]
    texts = [await app.clients.blobs.read("archive", name) or b"" for name in records]
    assert len(texts) > 3
    assert not any(b"Smith" in text for text in texts)


async def test_one_that_has_begun_is_not_asked_for_again(app: App, control: Control) -> None:
    """Who asks again gets what is being done: else a hold could be placed while that goes on."""
    [job] = await archived(app, control, 1000)
    first = await ask(app, job.recording_key)
    dying = FaultyBlobs(app.settings).on("create", name="-decided", after=killed)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the process is gone, when the erasure has just begun
        await with_blobs(later(app, DAY), dying).erase.run(job.recording_key)
    await dying.aclose()

    again = await ask(app, job.recording_key, after=DAY)

    assert first == again
    assert 1 == await app.erasure.store.last_number(first.erasure_id)
    with pytest.raises(Conflict, match="being erased"):
        await app.keeping.place_fact(
            job.recording_key, HoldPlaced(case="K-1", reason="late", at=datetime.now(UTC), by=None)
        )
    assert [job.recording_key] == await do(app)
    assert (await app.erasure.get(first.erasure_id)).state == "erased"


async def test_what_is_asked_for_while_the_last_one_is_called_off_happens(app: App, control: Control) -> None:
    """Calling off removes what staging has of its own asking, not of the next."""
    [job] = await archived(app, control, 1000)
    await ask(app, job.recording_key)
    slow = FaultyBlobs(app.settings).on("create", name="decided", after=lambda: ask(app, job.recording_key), times=1)

    await with_blobs(app, slow).erasure.call_off(ALAN, job.recording_key)
    await slow.aclose()

    assert "asked" == (await app.erasure.get(layout.key_digest(job.recording_key))).state
    assert [job.recording_key] == await do(app)


async def test_one_that_was_erased_says_so(app: App, control: Control) -> None:
    """Where its certificate is; everybody else gets a plain 404."""
    [job] = await archived(app, control, 1000)
    erasure = await erase(app, job.recording_key)

    with pytest.raises(NotFound, match=erasure) as raised:
        await ask(app, job.recording_key, after=SETTLED)
    assert "Erased" == raised.value.error_code
    with pytest.raises(NotFound) as raised:
        await app.catalogue.get(job.recording_key)
    assert "Erased" == raised.value.error_code


async def test_what_is_on_hold_is_refused(app: App, control: Control) -> None:
    """With the cases; nothing is changed."""
    [job] = await archived(app, control, 1000)

    async def cases(_: str) -> list[str]:
        return ["K-17", "K-18"]

    before = await listing(app.settings, "archive")
    held: ErasureRequests = replace(app.erasure, blocked=Blocked(app.clients.blobs, cases))
    with pytest.raises(Conflict, match=r"hold \(K-17\); hold \(K-18\)") as raised:
        await held.ask(ALAN, job.recording_key, BODY)

    assert ("OnHold", before) == (raised.value.error_code, await listing(app.settings, "archive"))


@pytest.mark.parametrize(
    ("key", "error"), [("x", BadRequest), (UNKNOWN, NotFound), ("../" + UNKNOWN, BadRequest), ("", BadRequest)]
)
async def test_a_key_that_leads_nowhere(app: App, key: str, error: type[RecordingError]) -> None:
    """Neither to ask nor to call off; nothing is written."""
    with pytest.raises(error):
        await app.erasure.ask(ALAN, key, BODY)
    with pytest.raises(error):
        await app.erasure.call_off(ALAN, key)

    assert set() == await left(app)


@pytest.mark.parametrize(("erasure", "error"), [("x", BadRequest), ("a" * 64, NotFound), ("A" * 64, BadRequest)])
async def test_an_id_that_is_none(app: App, erasure: str, error: type[RecordingError]) -> None:
    """The id is the digest of the key."""
    with pytest.raises(error):
        await app.erasure.get(erasure)


async def test_nothing_is_asked_for_that_is_not_on_record(app: App, control: Control) -> None:
    """The trail first; and storage that is down is said to be."""
    [job] = await stage(app, await control.recording(1000))
    broken = FaultyBlobs(app.settings).on("create", name="audit/", raises=ServiceRequestError("down"))
    with pytest.raises(TrailUnavailable):
        await with_blobs(app, broken).erasure.ask(ALAN, job.recording_key, BODY)
    await broken.aclose()
    down = FaultyBlobs(app.settings).on("list_blobs", raises=ServiceRequestError("down"))
    with pytest.raises(StorageUnavailable):
        await with_blobs(app, down).erasure.ask(ALAN, job.recording_key, BODY)
    await down.aclose()

    assert not any(name.startswith(layout.ERASURES) for name in await left(app))


@pytest.mark.parametrize("writes", [1, 2])
async def test_a_repetition_makes_good_what_a_kill_has_left_out(app: App, control: Control, writes: int) -> None:
    """The marker of the timer comes before the fact: an erasure that is on record happens."""
    [job] = await archived(app, control, 1000)
    dying = FaultyBlobs(app.settings, kill_after=writes)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the process is gone
        await with_blobs(app, dying).erasure.ask(ALAN, job.recording_key, BODY)
    await dying.aclose()

    await ask(app, job.recording_key)

    assert [job.recording_key] == await do(app)
    assert (await app.erasure.get(layout.key_digest(job.recording_key))).state == "erased"


async def test_what_a_kill_has_left_out_is_seen_and_called_off(app: App, control: Control) -> None:
    """Staging has it, and so it would happen: whoever asked got no answer."""
    [job] = await archived(app, control, 1000)
    erasure = layout.key_digest(job.recording_key)
    await asked_and_killed(app, job.recording_key)

    found = await app.erasure.get(erasure)
    assert ("asked", job.recording_key) == (found.state, found.recording_key)
    await app.erasure.call_off(ALAN, job.recording_key)

    assert "calledOff" == (await app.erasure.get(erasure)).state
    assert [] == await do(app)


async def test_what_a_kill_has_left_out_is_written_by_the_job(app: App, control: Control) -> None:
    """It is in the list also after that was made again."""
    [job] = await archived(app, control, 1000)
    await asked_and_killed(app, job.recording_key)

    assert [job.recording_key] == await do(app)

    erasure = layout.key_digest(job.recording_key)
    assert layout.erasure_blob(erasure, 1, "asked") in await listing(app.settings, "archive")
    assert ([erasure], None) == await app.erasure.store.ids(limit=9)


async def asked_and_killed(app: App, key: str) -> None:
    """Ask for an erasure in a process that is killed between its two writes."""
    dying = FaultyBlobs(app.settings).on("create", name="-asked", after=killed)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the process is gone
        await with_blobs(app, dying).erasure.ask(ALAN, key, BODY)
    await dying.aclose()
    assert not any(name.startswith(layout.ERASED) for name in await listing(app.settings, "archive"))


async def killed() -> None:
    """End the process."""
    raise Killed


async def test_two_that_ask_at_once_ask_once(app: App, control: Control) -> None:
    """The second looked before the first has asked: else there would be two, and the newer would hide the other."""
    [job] = await archived(app, control, 1000)
    slow = FaultyBlobs(app.settings).on("create", name="audit/", before=lambda: ask(app, job.recording_key), times=1)

    second = await with_blobs(later(app, timedelta(hours=1)), slow).erasure.ask(ALAN, job.recording_key, BODY)
    await slow.aclose()

    assert 1 == await app.erasure.store.last_number(second.erasure_id)
    asked = await open_of(app, job.recording_key)
    assert asked is not None
    assert second.happens_at == asked.happens_at


async def test_all_recordings_of_a_person_are_asked_for(environment: dict[str, str]) -> None:
    """Whatever the index knows, archived and in flight; what is on hold is refused and named, others are left alone."""
    async with storage_host(environment) as (app, host):
        keys = []
        both = ("8:acs:ada", "8:acs:grace")
        for number, people in enumerate([("8:acs:ada",), both, ("8:acs:grace",), ("8:acs:ada",), both, both]):
            event = today(host.add(mp4(500 + number), people=people), event_id=f"e{number}")
            event["data"]["recordingStartTime"] = f"2026-03-01T1{number}:00:00.0000000Z"
            event["subject"] = event["subject"].replace("cmlk", f"cmlk{number}")
            [job] = await receive(app, event)
            await app.ingest.run(job)
            if number < 5:
                await app.archive.run(job.recording_key)
            keys.append(job.recording_key)
        held = PlaceHold(case="K-1", reason="a hearing")
        await app.keeping.place(ALAN, keys[1], held)
        # Row and manifest may lack each: what one of them names is found.
        digests = await app.clients.index.digests()
        written = await app.recordings.newest_manifest(keys[3])
        assert written
        await app.clients.index.delete([(one.partition, one.key) for one in index.rows(written, digests)])
        await put(app.settings, "archive", layout.manifest_blob(keys[4]), b"{}")
        await put(app.settings, "archive", layout.manifest_blob(keys[2]), b"{}")
        body = ErasePerson(participant=" 8:ACS:ada", reason="objection", text="asked for by mail")

        found = await app.erasure.ask_for_person(ALAN, body)

        assert ([keys[0], *keys[3:]], [keys[1]], [keys[2]], None) == (
            [one.recording_key for one in found.erasures],
            [one.recording_key for one in found.refused],
            found.unreadable,
            found.next,
        )
        assert ("OnHold", True) == (found.refused[0].code, "K-1" in found.refused[0].message)
        assert found.happens_at == max(one.happens_at for one in found.erasures)
        assert found.erasures == (await app.erasure.ask_for_person(ALAN, body)).erasures
        # Where time is over, whoever asks goes on behind it; a table that is out of reach is not needed.
        finder = PersonFinder(app.recordings, Unreachable(), at_once=2)  # type: ignore[arg-type]
        brief = replace(app.erasure, people=finder, person_seconds=0.0)
        parts: list[PersonErasures] = []
        after = None
        while len(parts) < 9:
            parts.append(await brief.ask_for_person(ALAN, body.model_copy(update={"after": after})))
            after = parts[-1].next
            if after is None:
                break
        by_parts = {one.recording_key for part in parts for one in part.erasures}
        assert {keys[0], keys[3], keys[5]} == by_parts
        assert [keys[1], keys[3], keys[4], None] == [part.next for part in parts]
        with pytest.raises(BadRequest):
            await app.erasure.ask_for_person(ALAN, body.model_copy(update={"after": "../x"}))
        searched = [one for one in await trail_of(app.settings) if one["operation"] == "search"]
        assert 6 == len(searched)
        assert "ada" not in str(searched)
        # One whose manifest can't be read is erased by the names of its blobs.
        assert {keys[0], *keys[3:]} == set(await do(app))
        assert not any(keys[4] in name for name in await listing(app.settings, "archive"))


class Unreachable:
    """A search index that is out of reach."""

    async def digests(self) -> Digests:
        """Fail."""
        raise ServiceRequestError("down")


async def test_the_list_has_the_last_first(app: App, control: Control) -> None:
    """By pages; each with its state."""
    keys = [(await archived(app, control, 1000 + number))[0].recording_key for number in range(3)]
    for number, key in enumerate(keys):
        await ask(app, key, after=timedelta(minutes=number))
    await later(app, DAY).erasure.call_off(ALAN, keys[1])

    first = await erasures.page(app.clients.index, PageQuery(limit=2), url="https://x/v1/erasures?code=1")
    rest = await erasures.page(app.clients.index, PageQuery(limit=2, cursor=first.cursor), url="https://x/v1/erasures")

    assert [layout.key_digest(key) for key in reversed(keys)] == [
        one.erasure_id for one in (*first.erasures, *rest.erasures)
    ]
    assert ["asked", "calledOff", "asked"] == [one.state for one in (*first.erasures, *rest.erasures)]
    assert first.next_link
    assert "code" not in first.next_link
    assert rest.next_link is None


@pytest.mark.settings(RETENTION_CLASSES=CLASSES)
async def test_whoever_sets_classes_erases_nothing_alone(app: App, control: Control) -> None:
    """What has a class whose time is over is asked for, and happens a day later unless it is called off or held."""
    keys = [(await archived(app, control, 1000))[0].recording_key for _ in range(3)]
    then = timedelta(days=5)
    for key in keys:
        await retain(later(app, then), key, "brief")
    assert [] == [one for _ in range(2) for one in await do(later(app, then), then)]

    listed, _ = await app.clients.index.erasures(limit=9)
    assert ({"asked"}, {*map(layout.key_digest, keys)}) == (
        {one.state for one in listed},
        {one.erasure_id for one in listed},
    )
    assert {timedelta(hours=24)} == {one.happens_at - one.asked_at for one in listed}
    await later(app, then).erasure.call_off(ALAN, keys[1])
    await place(later(app, then), keys[1], "case 1")
    await place(later(app, then), keys[2], "case 2")
    await do(app, then + DAY)

    assert [False, True, True] == [await app.recordings.newest_manifest(key) is not None for key in keys]
