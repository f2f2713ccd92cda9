"""recording/catalogue/live.py: what is being recorded, and how it is as far as this app knows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from pydantic import ValidationError

from recording.app import App
from recording.catalogue import live
from recording.catalogue.live import LiveQuery
from recording.control.bodies import Operation, StartRecordingByUrl
from recording.errors import BadRequest, IndexUnavailable
from recording.model.caller import Caller
from recording.model.live import LiveRecording
from recording.model.started import Started
from tests.support.emulator import Control
from tests.support.facts import receive

NOW = datetime.now(UTC)


async def listed(app: App, **query: Any) -> list[LiveRecording]:
    """List the first page."""
    return (await live.page(app.clients.index, LiveQuery.model_validate(query))).recordings


async def start(app: App, control: Control) -> tuple[str, str]:
    """Place a call and start recording it through the app; return conversation id and recording id."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    asked = StartRecordingByUrl(conversation_url=placed["conversationUrl"], operation_context="case 118")
    started = await app.control.start_by_url(Caller(), asked)
    return started.conversation_id or "", started.recording_id


async def test_a_recording_is_listed_as_it_was_left_through_this_app(app: App, control: Control) -> None:
    """From its start on: with the ids that pause, resume and stop it; after its stop until it is announced."""
    ids = await start(app, control)
    [one] = await listed(app)
    assert (*ids, "case 118", "active") == (one.conversation_id, one.recording_id, one.reference, one.state)
    assert one.since == one.started_at

    for step, state in (("pause", "paused"), ("resume", "active"), ("stop", "ending")):
        await getattr(app.control, step)(Caller(), *ids, Operation())
        [one] = await listed(app)
        assert state == one.state
        assert one.since
        assert one.started_at
        assert one.since > one.started_at


async def test_an_event_says_what_others_did(app: App, control: Control) -> None:
    """Paused or ended by the calling app itself: the app knows only that it is inactive."""
    _, recording_id = await start(app, control)
    event = {
        "id": "1",
        "subject": "recording/x/recordingState",
        "data": {"recordingId": recording_id, "state": "inactive", "conversationId": None},
        "eventType": "Microsoft.Communication.RecordingStateChanged",
        "eventTime": (NOW + timedelta(minutes=1)).isoformat(),
        "metadataVersion": "1",
        "dataVersion": "1.0",
    }

    await receive(app, event)

    assert ["inactive"] == [one.state for one in await listed(app)]


async def test_an_event_of_a_recording_that_is_not_live_leaves_no_row(app: App) -> None:
    """One that somebody else has started, or that was announced."""
    event = {
        "id": "1",
        "subject": "recording/x/recordingState",
        "data": {"recordingId": "cmVj", "state": "active", "conversationId": None},
        "eventType": "Microsoft.Communication.RecordingStateChanged",
        "eventTime": NOW.isoformat(),
        "metadataVersion": "1",
        "dataVersion": "1.0",
    }

    await receive(app, event)

    assert [] == await listed(app)


async def test_hundreds_are_listed_page_by_page(app: App) -> None:
    """Each once, the newest of a page first."""
    for number in range(7):
        at = NOW - timedelta(minutes=number)
        await app.clients.index.note_live(Started(recording_id=f"r{number}", conversation_id="c", at=at))
    found: list[str] = []
    query: dict[str, Any] = {"limit": 3}

    for _ in range(5):
        page = await live.page(app.clients.index, LiveQuery.model_validate(query), url="https://app.example/v1/live")
        times = [one.started_at for one in page.recordings]
        assert times == sorted(times, key=lambda one: one or NOW, reverse=True)
        found += [one.recording_id for one in page.recordings]
        if page.cursor is None:
            break
        assert page.next_link == f"https://app.example/v1/live?limit=3&cursor={page.cursor}"
        query["cursor"] = page.cursor

    assert {f"r{number}" for number in range(7)} == set(found)
    assert 7 == len(found)


async def test_a_wrong_query_is_refused(app: App) -> None:
    """A cursor that is none, and a page that is too long."""
    with pytest.raises(BadRequest):
        await live.page(app.clients.index, LiveQuery(cursor="x"))
    with pytest.raises(ValidationError):
        LiveQuery(limit=1001)


async def test_a_table_out_of_reach_is_said_to_be(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a status that asks to try again, and no recording is affected."""

    async def fail(**_: Any) -> Any:
        raise ServiceRequestError("no route")

    monkeypatch.setattr(app.clients.index, "live_page", fail)

    with pytest.raises(IndexUnavailable):
        await listed(app)
