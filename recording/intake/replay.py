"""Use case: an event that was quarantined or dead-lettered is taken in again.

It goes the way of every event (`intake`), and its jobs onto the queue. Facts are written once, and
what they are named by doesn't depend on when this runs: a second replay changes nothing.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import BadEvent, RecordingError
from recording.intake import receive
from recording.intake.quarantine import QuarantinedEvent
from recording.intake.receive import Intake
from recording.model import event_parser
from recording.model.events import FileStatusUpdated, OtherEvent
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue

# Event Grid doesn't pad: <SUBSCRIPTION>/2019/8/8/5/<guid>.json (year, month, day and hour in UTC).
_LETTER = re.compile(r"(?:.*/)?(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/[0-9]{1,2}/[^/]+")

Outcome = Literal["taken", "ignored", "partly", "not understood", "unreadable", "failed"]


@dataclass(frozen=True)
class EventFile:
    """What lies somewhere: its bytes, or why there are none."""

    source: str
    body: bytes | None
    problem: str = ""


@dataclass(frozen=True)
class ReplayResult:
    """What came of one event."""

    source: str
    outcome: Outcome
    detail: str

    @property
    def ok(self) -> bool:
        """Tell whether nothing is left to do about it."""
        return self.outcome in ("taken", "ignored")


@dataclass(frozen=True)
class _Letter:
    """One event's text; `received` is when it was quarantined."""

    text: str
    received: datetime | None = None


@dataclass(frozen=True)
class Target:
    """What events are replayed into; `dry` = only say what would come of it."""

    intake: Intake
    queue: Queue
    dry: bool = False


def read_files(paths: Sequence[Path]) -> Iterator[EventFile]:
    """Read files, and those of folders in the order of their names."""
    for path in paths:
        inside = sorted(one for one in path.rglob("*.json") if one.is_file()) if path.is_dir() else [path]
        if not inside:
            yield EventFile(str(path), None, "no .json file in this folder")
        for one in inside:
            try:
                yield EventFile(str(one), one.read_bytes())
            except OSError as failed:
                yield EventFile(str(one), None, str(failed.strerror))


async def read_blob(storage: Blobs, name: str) -> EventFile:
    """Read one blob of the quarantine container."""
    return EventFile(name, await storage.read("quarantine", name), "there is no such blob")


async def quarantined_on(storage: Blobs, day: date) -> AsyncIterator[EventFile]:
    """Read what was quarantined on a day (UTC)."""
    async for one in storage.list_blobs("quarantine", f"{day:%Y/%m/%d}/"):
        yield await read_blob(storage, one.name)


async def dead_lettered_on(letters: Blobs, day: date) -> AsyncIterator[EventFile]:
    """Read what Event Grid gave up on a day (UTC); `letters` has its container for a quarantine."""
    async for one in letters.list_blobs("quarantine"):
        at = _LETTER.fullmatch(one.name)
        if at and (int(at["year"]), int(at["month"]), int(at["day"])) == (day.year, day.month, day.day):
            yield await read_blob(letters, one.name)


async def replay(found: EventFile, into: Target) -> list[ReplayResult]:
    """Take in every event of a file or blob; one that fails doesn't hold up the others."""
    if found.body is None:
        return [ReplayResult(found.source, "unreadable", found.problem)]
    try:
        letters = _open(found.body)
    except (BadEvent, UnicodeDecodeError) as bad:
        reason = bad.message if isinstance(bad, BadEvent) else "it isn't text in UTF-8"
        return [ReplayResult(found.source, "unreadable", reason)]
    return [await _take(letter, found.source, into) for letter in letters]


def _open(body: bytes) -> list[_Letter]:
    """Find the events: as received, as quarantined, or an array of them as Event Grid dead-letters.

    See docs/acs-contract.md#delivery-semantics.
    What Event Grid adds to a dead letter stays: it is a part of what is known of the event.

    See docs/acs-contract.md#delivery-semantics.
    """
    text = body.decode("utf-8-sig")
    try:
        kept = QuarantinedEvent.model_validate_json(text)
    except ValidationError:
        return [_Letter(one) for one in event_parser.split_events(text)]
    return [_Letter(kept.event, kept.received_at)]


async def _take(letter: _Letter, source: str, into: Target) -> ReplayResult:
    try:
        event = event_parser.parse_event(letter.text)
    except BadEvent as bad:
        # It lies where it came from: written down once more it would be two.
        return ReplayResult(source, "not understood", bad.message)
    if isinstance(event, OtherEvent):
        return ReplayResult(source, "ignored", f"nothing to do for {event.type}")
    now = datetime.now(UTC)
    if isinstance(event, FileStatusUpdated):
        # What can't be understood of it is quarantined under this time, whenever it is replayed.
        now = letter.received or event.time
    messages: list[str] = []
    try:
        if not into.dry:
            messages = receive.messages(await into.intake.accept(event, letter.text, received_at=now))
            for message in messages:
                await into.queue.send(message)
    except BadEvent as bad:
        return ReplayResult(source, "not understood", bad.message)
    except RecordingError as failed:
        return ReplayResult(source, "failed", failed.message)
    except (AzureError, TimeoutError) as failed:
        return ReplayResult(source, "failed", f"storage or ACS failed ({type(failed).__name__}); replay it again")
    if not isinstance(event, FileStatusUpdated):
        return ReplayResult(source, "taken", type(event).__name__)
    count = f"{len(event.chunks)} chunks" if into.dry else f"{len(messages)} chunks queued"
    if event.problems:
        return ReplayResult(source, "partly", f"{event.recording_key}, {count}; {'; '.join(event.problems)}")
    return ReplayResult(source, "taken", f"{event.recording_key}, {count}")
