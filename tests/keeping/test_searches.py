"""recording/keeping/searches.py: a case holds what a search finds, however often the job for it is killed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from recording.app import App, assemble
from recording.catalogue.browse import ListQuery
from recording.errors import BadRequest, NotFound
from recording.model import layout
from recording.model.holds import PlaceHolds
from recording.model.job import HoldsJob
from recording.model.stored import StoredBlob
from tests.keeping.worlds import CLASSES, MANAGER, cases, place
from tests.support.emulator import Control
from tests.support.facts import announce, archived, listing, sweep, trail_of, with_blobs
from tests.support.faults import FaultyBlobs, Killed

pytestmark = pytest.mark.settings(RETENTION_CLASSES=CLASSES)


async def queued(app: App) -> list[str]:
    """Remove the messages of the queue, and return the ids that they name."""
    found = []
    async for message in app.clients.holds_queue.receive(limit=32, hidden_seconds=30):
        found.append(HoldsJob.from_message(message.text).hold_id)
        await app.clients.holds_queue.delete(message)
    return found


def everything(case: str = "case 1") -> PlaceHolds:
    """Return a hold on whatever started in this century."""
    return PlaceHolds.model_validate_json(
        json.dumps({"from": "2001-01-01T00:00:00Z", "case": case, "reason": "subpoena"})
    )


async def test_a_case_holds_what_is_found_archived_and_in_flight(app: App, control: Control) -> None:
    """It answers how many; each recording's trail says it, and what comes later isn't held by it."""
    [first] = await archived(app, control, 1000)
    [second] = await announce(app, await control.recording(1000))
    await place(app, first.recording_key, "case 2")

    asked = await app.hold_searches.ask(MANAGER, everything())
    assert ("working", 0) == (asked.state, asked.found)
    assert asked == await app.hold_searches.state(asked.hold_id)
    assert [asked.hold_id] == await queued(app)
    done = await app.hold_searches.run(asked.hold_id)

    assert done is not None
    assert ("done", 2, 2, 0) == (done.state, done.found, done.held, done.held_before)
    assert done == await app.hold_searches.state(asked.hold_id)
    assert ["case 1", "case 2"] == sorted(cases(await app.catalogue.detail(first.recording_key)))
    assert ["case 1"] == cases(await app.catalogue.detail(second.recording_key))
    assert 2 == len((await app.catalogue.page(ListQuery(hold=True))).recordings)
    on_trail = [one for one in await trail_of(app.settings) if one["operation"] == "hold"]
    assert {None, first.recording_key, second.recording_key} == {one.get("recordingKey") for one in on_trail}
    assert {"object-of-ada"} == {one["objectId"] for one in on_trail}
    assert not [name for name in await listing(app.settings, "staging") if name.startswith("pending-")]

    [late] = await announce(app, await control.recording(1000))
    assert await app.hold_searches.run(asked.hold_id) is None
    assert [] == cases(await app.catalogue.detail(late.recording_key))


async def test_it_tells_what_the_case_held_before(app: App, control: Control) -> None:
    """The same case may search twice."""
    await archived(app, control, 1000)
    for held, before in ((1, 0), (0, 1)):
        asked = await app.hold_searches.ask(MANAGER, everything())
        done = await app.hold_searches.run(asked.hold_id)
        assert done is not None
        assert (held, before) == (done.held, done.held_before)


async def test_a_time_in_another_zone_reaches_into_the_next_month(app: App, control: Control) -> None:
    """Rows are found by the month in UTC, and what started before the time that was given must not be missed."""
    early, late = [
        await announce(app, await control.recording(1000) | {"startTime": f"2026-02-01T{hour}:00:00Z"})
        for hour in ("01", "04")
    ]
    body = {"to": "2026-01-31T22:00:00-05:00", "case": "case 1", "reason": "subpoena"}

    asked = await app.hold_searches.ask(MANAGER, PlaceHolds.model_validate_json(json.dumps(body)))
    assert asked.hold_id in await queued(app)
    done = await app.hold_searches.run(asked.hold_id)

    assert done is not None
    assert (1, 1) == (done.found, done.held)
    assert ["case 1"] == cases(await app.catalogue.detail(early[0].recording_key))
    assert [] == cases(await app.catalogue.detail(late[0].recording_key))


@pytest.mark.parametrize("writes", [1, 2, 4, 5])
async def test_a_job_that_was_killed_is_queued_again_and_counts_what_it_has_held(
    app: App, control: Control, writes: int
) -> None:
    """Wherever it was killed."""
    for _ in range(2):
        await archived(app, control, 1000)
    asked = await app.hold_searches.ask(MANAGER, everything())
    await queued(app)
    dying = FaultyBlobs(app.settings, kill_after=writes)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await with_blobs(app, dying).hold_searches.run(asked.hold_id)
    await dying.aclose()

    later = datetime.now(UTC) + timedelta(hours=1)
    await sweep(app)
    assert [] == await queued(app)
    beside: dict[str, list[StoredBlob]] = {}
    await app.recordings.in_flight(beside=beside)
    await app.hold_searches.requeue(beside[layout.PENDING_HOLDS], later)
    assert [asked.hold_id] == await queued(app)
    done = await app.hold_searches.run(asked.hold_id)

    assert done is not None
    assert (2, 2, 0) == (done.found, done.held, done.held_before)


async def test_a_hold_needs_a_filter_and_a_known_form_of_it(app: App) -> None:
    """To hold everything by mistake would keep everything for ever."""
    ends_before_it_begins = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    before_the_first_year = {"from": "0001-01-01T00:00:00+05:00"}
    for body in ({}, {"participant": ""}, ends_before_it_begins, {"from": 1}, before_the_first_year):
        with pytest.raises(ValidationError):
            PlaceHolds.model_validate_json(json.dumps({"case": "case 1", "reason": "subpoena", **body}))
    with pytest.raises(BadRequest, match=r"conversation"):
        await app.hold_searches.ask(MANAGER, PlaceHolds(case="case 1", reason="subpoena", conversation="?"))
    for unknown in ("0" * 32, "../keys"):
        with pytest.raises(NotFound):
            await app.hold_searches.state(unknown)
    assert [] == await queued(app)


async def test_what_was_searched_for_stands_on_no_fact(app: App, control: Control) -> None:
    """It may be a person; staging keeps it until the job is done."""
    await archived(app, control, 1000)
    body = PlaceHolds(case="case 1", reason="subpoena", participant="+14255550123")
    asked = await app.hold_searches.ask(MANAGER, body)
    assert layout.asked_hold_blob(asked.hold_id) in await listing(app.settings, "staging")
    await assemble(app.settings, app.clients).hold_searches.run(asked.hold_id)

    assert layout.asked_hold_blob(asked.hold_id) not in await listing(app.settings, "staging")
    assert "14255550123" not in json.dumps(await trail_of(app.settings))
