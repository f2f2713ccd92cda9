"""recording/intake/auto_record.py: with AUTO_RECORD a call is recorded, once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recording.app import App
from recording.errors import RecordingError, StartInProgress, Throttled
from recording.model import layout
from recording.storage.starts import StartClaim
from tests.support.calls import leg_event, outcomes, started
from tests.support.emulator import Control
from tests.support.facts import body_of, listing, receive

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


pytestmark = pytest.mark.settings(AUTO_RECORD="all", PUBLIC_BASE_URL="http://127.0.0.1:9/")


async def audited(app: App) -> list[Any]:
    """Read the records of control operations, in their order."""
    names = [name for name in await listing(app.settings, "archive") if name.startswith("audit/")]
    return [await body_of(app.settings, "archive", name) for name in names]


async def test_a_conversation_is_recorded_once(app: App, control: Control) -> None:
    """However often the event comes, one after the other or all at once, one recording is started."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    answers = await asyncio.gather(*(receive(app, leg_event(call)) for _ in range(10)), return_exceptions=True)
    for _ in range(3):
        await receive(app, leg_event(call, id="again"))

    refused = [a for a in answers if a != []]
    assert [] == [a for a in refused if not isinstance(a, StartInProgress)]
    starts = [r for r in (await control.call("GET", "requests"))["requests"] if r["method"] == "POST"]
    assert (1, 1) == (await started(control), len(starts))
    assert ["started"] == await outcomes(app)
    [asked] = await audited(app)
    assert ("start", "AUTO_RECORD", call["conversationId"]) == (
        asked["operation"],
        asked["who"],
        asked["conversationId"],
    )
    assert (["ok"], True) == ([asked["outcome"]], bool(asked["recordingId"]))


@pytest.mark.parametrize("state", ["Establishing", "Terminating", "Terminated"])
async def test_only_an_established_call_is_recorded(app: App, control: Control, state: str) -> None:
    """The other states are logged."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    await receive(app, leg_event(call, state))

    assert 0 == await started(control)


async def test_a_claim_is_taken_over_after_a_crash(app: App, control: Control) -> None:
    """While the claim is younger than a minute nobody else starts, after that another worker does."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    dead = StartClaim(owner="dead", conversation_id=call["conversationId"], at=NOW)
    blob = layout.claim_blob(f"auto-record {call['conversationId']}", 1)
    await app.clients.blobs.create("archive", blob, dead.model_dump_json(by_alias=True).encode())

    with pytest.raises(StartInProgress):
        await receive(app, leg_event(call), now=NOW + timedelta(seconds=59))
    assert 0 == await started(control)
    await receive(app, leg_event(call), now=NOW + timedelta(seconds=61))

    assert (1, ["started"]) == (await started(control), await outcomes(app))


async def test_what_was_started_by_a_process_that_died_is_known_when_its_event_comes_again(
    app: App, control: Control
) -> None:
    """It had recorded the outcome, and nothing else: neither that it was started, nor that it is live."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await receive(app, leg_event(call))
    [before] = await app.clients.index.live()
    await app.clients.index.forget_live(before.recording_id)
    await app.clients.blobs.delete("archive", layout.started_blob(before.recording_id))

    await receive(app, leg_event(call, id="again"))

    [after] = await app.clients.index.live()
    assert (before.recording_id, before.conversation_id) == (after.recording_id, after.conversation_id)
    assert layout.started_blob(before.recording_id) in await listing(app.settings, "archive")


@pytest.mark.parametrize(("status", "error"), [(503, Throttled), (429, Throttled), (500, RecordingError)])
async def test_a_failure_that_may_pass_gives_the_claim_back(
    app: App, control: Control, status: int, error: type[Exception]
) -> None:
    """The event is delivered again, and then the recording is started at once."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await control.call("POST", "faults", {"method": "POST", "kind": "status", "status": status})

    with pytest.raises(error):
        await receive(app, leg_event(call))
    assert ["given_back"] == await outcomes(app)
    await receive(app, leg_event(call))

    assert (1, ["given_back", "started"]) == (await started(control), await outcomes(app))
    assert [status, 200] == [asked["status"] for asked in await audited(app)]


async def test_a_call_that_is_over_is_refused_for_good(app: App, control: Control) -> None:
    """The outcome of the 404 is recorded; later deliveries don't ask ACS again."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await control.call("DELETE", f"calls/{call['callId']}")
    await control.call("DELETE", "requests")

    await receive(app, leg_event(call))
    await receive(app, leg_event(call))

    assert (["refused"], 1) == (await outcomes(app), len((await control.call("GET", "requests"))["requests"]))


async def test_a_conversation_that_cannot_be_one_is_refused_for_good(app: App, control: Control) -> None:
    """ACS isn't asked, and the event must not be delivered again: the result would be the same."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await control.call("DELETE", "requests")

    assert [] == await receive(app, leg_event(call | {"conversationId": "../x"}))

    assert (["refused"], []) == (await outcomes(app), (await control.call("GET", "requests"))["requests"])


async def test_a_recording_that_somebody_started_is_left_alone(app: App, control: Control) -> None:
    """409 means that the call is being recorded already."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await app.clients.service.start(call["conversationId"])

    await receive(app, leg_event(call))

    assert (["already_recording"], 1) == (await outcomes(app), await started(control))


async def test_a_group_that_meets_again_is_recorded_again(app: App, control: Control) -> None:
    """A group's id is the same for each of its calls; the legs differ."""
    group = "3f2b0e4c-1111-4000-8000-000000000001"
    for _ in range(2):
        call = await control.call("POST", "calls", {"participants": ["Ada"], "groupId": group})
        await receive(app, leg_event(call | {"conversationId": group}))
        await control.call("DELETE", f"calls/{call['callId']}")

    assert 2 == await started(control)
