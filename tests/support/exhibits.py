"""Recordings of all kinds, for tests and pictures of the page."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from recording.app import App
from recording.control.bodies import Operation, StartRecordingByUrl
from recording.model import layout
from recording.model.attempts import Failure
from recording.model.caller import Caller
from recording.model.manifest import Absence, Manifest, ManifestChunk, Participant, with_timeline
from recording.model.metadata_file import participant_kind
from recording.model.started import Started
from recording.storage.endings import Ending
from tests.support import erasures
from tests.support.archives import give_up
from tests.support.emulator import Control
from tests.support.facts import announce, container, put, sweep
from tests.support.manifests import finished

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ADA, PHONE = "8:acs:5f1d0f6e-1111-4000-8000-000000000001_ada", "4:+4930123456"
CASE, CALL = "A-2026-118", "3f2b0e4c-7777-4000-8000-000000000118"
# Markup, a quote that would end an attribute, and characters that turn the direction of what follows or end a line.
HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>\u202etxt.exe\x07\u2028${7*7}{{x}}"


async def keep(app: App, manifest: Manifest) -> str:
    """Put a manifest into the archive, and its rows into the index; return the recording's key."""
    text = manifest.model_dump_json(by_alias=True).encode()
    await put(app.settings, "archive", layout.manifest_blob(manifest.recording_key), text)
    await app.clients.index.write(manifest)
    return manifest.recording_key


def people(*ids: str) -> tuple[Participant, ...]:
    """Make participants of the first chunk."""
    return tuple(Participant(id=one, kind=participant_kind(one), chunks=(0,)) for one in ids)


def archived(start: datetime, *, call_id: str, minutes: int = 20, **more: Any) -> Manifest:
    """Make the manifest of a recording of one chunk, which is archived and whole."""
    made = finished(0)
    entry = made.chunks[0].model_copy(
        update={
            # As much as ACS makes of mixed video.
            "content": made.chunks[0].content
            and made.chunks[0].content.model_copy(update={"bytes": minutes * 7_500_000}),
            "announced_at": start,
            "start_time": start,
            "duration_ms": minutes * 60_000.0,
            "proved_at": start,
            "deadline": start + DAY,
            "copy_proved_at": start + HOUR,
            "copy_compared": "crc64",
            "verdict": "complete",
            "format": "mp4",
        }
    )
    given = {
        "recording_key": layout.recording_key(start, call_id),
        "call_id": call_id,
        "recording_id": f"recording-{call_id[-12:]}",
        "recording_start_time": start,
        "recording_duration_ms": minutes * 60_000,
        "archived_at": start + HOUR,
        "participants": people(ADA, PHONE),
        "chunks": [entry],
    }
    return with_timeline(made.model_copy(update=given | more))


def lost(entry: ManifestChunk) -> ManifestChunk:
    """Return a chunk beside this one that was lost."""
    gone = {"document_id": "0-eus-lost", "index": 1, "outcome": "lost", "reason": "deleted before it was fetched"}
    evidence = Failure(at=entry.deadline, code="SourceGone", message="ACS has no such document")
    none = ("content", "metadata", "verdict", "format", "start_time", "duration_ms", "copy_proved_at", "copy_compared")
    return entry.model_copy(update=gone | dict.fromkeys(none) | {"evidence": evidence})


async def furnish(app: App, control: Control, *, now: datetime | None = None) -> dict[str, str]:
    """Make recordings of all kinds, live ones, and what operators look at; return the keys of some by name."""
    now = now or datetime.now(UTC).replace(microsecond=0)
    for number in range(60):
        call_id = f"3f2b0e4c-0000-4000-8000-{number:012}"
        start = now - 3 * DAY - number * timedelta(hours=7)
        some = people(ADA, PHONE, f"4:+44201234{number:03}")[: 1 + number % 3]
        reference = f"B-2026-{number:03}" if number % 2 else None
        made = archived(start, call_id=call_id, minutes=3 + 7 * number % 90, participants=some, reference=reference)
        await keep(app, made)
    case = archived(now - DAY, call_id=CALL, minutes=62, reference=CASE)
    broken = archived(
        now - DAY - HOUR,
        call_id="3f2b0e4c-7777-4000-8000-000000000119",
        reference="A-2026-119",
        recording_duration_ms=28 * 60_000,
    )
    hostile = archived(
        now - 2 * HOUR,
        call_id="3f2b0e4c-7777-4000-8000-000000000666",
        reference=HOSTILE,
        participants=people(HOSTILE, PHONE),
    )
    keys = {
        "case": await keep(app, case),
        "lost": await keep(
            app,
            with_timeline(
                broken.model_copy(
                    update={
                        "state": "incomplete",
                        "complete": False,
                        "chunks": [broken.chunks[0], lost(broken.chunks[0])],
                    }
                )
            ),
        ),
        "hostile": await keep(app, hostile),
    }
    keys["waiting"] = await _wait(app, control, now)
    await _live(app, control)
    await _trouble(app, now)
    return keys


async def erased(app: App, *, now: datetime | None = None) -> str:
    """Have a recording erased, as if somebody had asked for it two days ago; return its key."""
    now = now or datetime.now(UTC).replace(microsecond=0)
    made = archived(now - 9 * DAY, call_id="3f2b0e4c-7777-4000-8000-000000000120", reference="A-2026-120")
    key = await keep(app, made)
    await erasures.ask(app, key, after=-2 * DAY)
    for after in (erasures.DAY, erasures.SETTLED):
        await erasures.do(app, after - 2 * DAY)
    return key


async def unusual(app: App, *, now: datetime | None = None) -> dict[str, str]:
    """Make recordings of states that are seldom: never announced, not proved, to be erased; return their keys."""
    now = now or datetime.now(UTC).replace(microsecond=0)
    unproved = archived(now - 10 * DAY, call_id="3f2b0e4c-7777-4000-8000-000000000121", reference="A-2026-121")
    reason = "storage holds other bytes than it had received"
    chunk = unproved.chunks[0].model_copy(update={"outcome": "unproved", "reason": reason, "copy_proved_at": None})
    unproved = unproved.model_copy(update={"state": "incomplete", "complete": False, "chunks": [chunk]})
    absence = Absence(
        evidence="stopped through us",
        stopped_at=now - 11 * DAY,
        stopped_by="Barbara Liskov",
        conversation_id="c",
    )
    absent = archived(now - 11 * DAY, call_id="3f2b0e4c-7777-4000-8000-000000000122", participants=()).model_copy(
        update={"state": "absent", "complete": False, "absent": absence, "chunks": [], "timeline": ()}
    )
    asked = archived(now - 12 * DAY, call_id="3f2b0e4c-7777-4000-8000-000000000123", reference="A-2026-123")
    keys = {
        "unproved": await keep(app, with_timeline(unproved)),
        "absent": await keep(app, absent),
        "asked": await keep(app, asked),
    }
    await erasures.ask(app, keys["asked"])
    return keys


async def _wait(app: App, control: Control, now: datetime) -> str:
    """Announce a recording whose chunk fails, whoever asks for it."""
    made = await control.recording(1000)
    await control.fault("expired", f"*{made['chunks'][0]['documentId']}*", times=None)
    [job] = await announce(app, made)
    await give_up(app, job, now=now - HOUR)
    await sweep(app)
    return job.recording_key


async def _live(app: App, control: Control) -> None:
    """Start two recordings, and pause the older one."""
    for reference in ("C-2026-007", "C-2026-008"):
        placed = await control.call("POST", "calls", {"participants": ["Ada"]})
        asked = StartRecordingByUrl(conversation_url=placed["conversationUrl"], operation_context=reference)
        started = await app.control.start_by_url(Caller(), asked)
        if reference == "C-2026-007":
            await app.control.pause(Caller(), str(started.conversation_id), started.recording_id, Operation())


async def _trouble(app: App, now: datetime) -> None:
    """Make a stop that nobody announced, an event that nobody understood, and one that was given up."""
    known = {"recording_id": "cmVjb3JkaW5n", "conversation_id": "c"}
    await app.starts.note_started(Started(**known, reference="D-2026-001", at=now - 4 * HOUR))
    await app.endings.note(Ending(**known, at=now - 3 * HOUR, evidence="stopped through us", who="Barbara Liskov"))
    event = json.dumps({"eventType": HOSTILE, "startedBy": "8:acs:grace"})
    await app.quarantine.keep(event, [f"event type {HOSTILE} is unknown"], received_at=now - HOUR)
    async with container(app.settings, "dead_letter") as blobs:
        if not await blobs.exists():
            await blobs.create_container()
        body = json.dumps([{"id": "1", "deadLetterReason": "MaxDeliveryAttemptsExceeded"}]).encode()
        await blobs.upload_blob(f"RECORDINGS/{now.year}/{now.month}/{now.day}/5/a.json", body, overwrite=True)
