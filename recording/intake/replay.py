"""Use case: an event that was quarantined or dead-lettered is accepted again.

It is handled as every event (`Intake.accept`), and its jobs are queued. Facts are written once,
and their names don't depend on when this runs: a second replay changes nothing.
"""

import codecs
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.clock import Clock, utc_now
from recording.errors import BadEvent, RecordingError
from recording.intake.quarantine import Quarantine
from recording.intake.receive import Intake, to_messages
from recording.model import event_parser
from recording.model.envelope import split_events
from recording.model.events import FileStatusUpdated, OtherEvent
from recording.model.quarantined import QuarantinedEvent
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue

# Event Grid doesn't pad: <SUBSCRIPTION>/2019/8/8/5/<guid>.json (year, month, day and hour in UTC).
_DEAD_LETTER = re.compile(r"(?:.*/)?(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/[0-9]{1,2}/[^/]+")

Outcome = Literal["accepted", "ignored", "partially accepted", "invalid", "unreadable", "failed"]


@dataclass(frozen=True)
class EventFile:
    """The bytes of a file or a blob, or why there are none."""

    source: str
    body: bytes | None
    problem: str = ""


@dataclass(frozen=True)
class ReplayResult:
    """The result for one event."""

    source: str
    outcome: Outcome
    detail: str

    @property
    def ok(self) -> bool:
        """Return whether nothing is left to do about the event."""
        return self.outcome in ("accepted", "ignored")


@dataclass(frozen=True)
class _EventText:
    """The text of one event; `quarantined_at` only if it was in quarantine."""

    text: str
    quarantined_at: datetime | None = None


class Replay:
    """Accepts events from files and blobs again."""

    def __init__(self, intake: Intake, queue: Queue, *, clock: Clock = utc_now) -> None:
        self._intake = intake
        self._queue = queue
        self._clock = clock

    async def run(self, file: EventFile, *, dry_run: bool = False) -> list[ReplayResult]:
        """Accept every event of a file or blob; one that fails doesn't keep the others from being accepted.

        With `dry_run` nothing is written: the results say what would happen.
        """
        if file.body is None:
            return [ReplayResult(file.source, "unreadable", file.problem)]
        try:
            texts = _events_of(file.body)
        except BadEvent as bad:
            return [ReplayResult(file.source, "unreadable", bad.message)]
        return [await self._replay(one, file.source, dry_run=dry_run) for one in texts]

    async def _replay(self, one: _EventText, source: str, *, dry_run: bool) -> ReplayResult:
        try:
            event = event_parser.parse_event(one.text)
        except BadEvent as bad:
            # It isn't quarantined: it is kept already where it was read from.
            return ReplayResult(source, "invalid", bad.message)
        if isinstance(event, OtherEvent):
            return ReplayResult(source, "ignored", f"nothing to do for {event.type}")
        now = self._clock()
        received_at = quarantined_at = now
        if isinstance(event, FileStatusUpdated):
            received_at = one.quarantined_at or now
            # Its unparsable parts get the same name in quarantine, whenever it is replayed.
            quarantined_at = one.quarantined_at or event.time
        messages: list[str] = []
        try:
            if not dry_run:
                accepted = await self._intake.accept(
                    event, one.text, received_at=received_at, quarantined_at=quarantined_at
                )
                messages = to_messages(accepted)
                for message in messages:
                    await self._queue.send(message)
        except BadEvent as bad:
            return ReplayResult(source, "invalid", bad.message)
        except RecordingError as failed:
            return ReplayResult(source, "failed", failed.message)
        except (AzureError, TimeoutError) as failed:
            return ReplayResult(source, "failed", f"storage or ACS failed ({type(failed).__name__}); replay it again")
        if not isinstance(event, FileStatusUpdated):
            return ReplayResult(source, "accepted", type(event).__name__)
        count = f"{len(event.chunks)} chunks{'' if dry_run else ' queued'}"
        detail = "; ".join((f"{event.recording_key}, {count}", *event.problems, *event.derived))
        return ReplayResult(source, "partially accepted" if event.problems else "accepted", detail)


def read_files(paths: Sequence[Path]) -> Iterator[EventFile]:
    """Read files, and the files of folders in the order of their names."""
    for path in paths:
        inside = sorted(one for one in path.rglob("*.json") if one.is_file()) if path.is_dir() else [path]
        if not inside:
            yield EventFile(str(path), None, "no .json file in this folder")
        for one in inside:
            try:
                yield EventFile(str(one), one.read_bytes())
            except OSError as failed:
                yield EventFile(str(one), None, str(failed.strerror))


async def read_blob(blobs: Blobs, name: str) -> EventFile:
    """Read one blob of the quarantine container."""
    return EventFile(name, await blobs.read("quarantine", name), "there is no such blob")


async def quarantined_on(blobs: Blobs, day: date) -> AsyncIterator[EventFile]:
    """Read the events that were quarantined on a day (UTC)."""
    async for one in blobs.list_blobs("quarantine", f"{day:%Y/%m/%d}/"):
        yield await read_blob(blobs, one.name)


async def dead_lettered_on(dead_letters: Blobs, day: date) -> AsyncIterator[EventFile]:
    """Read the events that Event Grid gave up on a day (UTC); `dead_letters` has their container as its quarantine."""
    async for one in dead_letters.list_blobs("quarantine"):
        at = _DEAD_LETTER.fullmatch(one.name)
        if at and (int(at["year"]), int(at["month"]), int(at["day"])) == (day.year, day.month, day.day):
            yield await read_blob(dead_letters, one.name)


def _events_of(body: bytes) -> list[_EventText]:
    """Return the events: as received, as quarantined, or an array of dead letters.

    See docs/acs-contract.md#delivery-semantics. The members that Event Grid adds to a dead letter are kept: they are
    part of what is known of the event. Raises BadEvent if there is none.
    """
    received_at: datetime | None = None
    with contextlib.suppress(ValidationError):
        kept = QuarantinedEvent.model_validate_json(body.removeprefix(codecs.BOM_UTF8))
        body, received_at = kept.event.encode(), kept.received_at
    texts = split_events(body)
    if not texts:
        raise BadEvent("it has no events")
    return [_EventText(one, received_at) for one in texts]
