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
from functools import partial
from pathlib import Path
from typing import Literal

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.clock import Clock, utc_now
from recording.errors import (
    BadEvent,
    BadRequest,
    Conflict,
    NotFound,
    RecordingError,
    StorageUnavailable,
    describe,
)
from recording.intake.quarantine import Quarantine
from recording.intake.receive import Intake, to_messages
from recording.model import event_parser, layout
from recording.model.caller import Caller
from recording.model.envelope import split_events
from recording.model.events import FileStatusUpdated, OtherEvent
from recording.model.quarantined import QuarantinedEvent
from recording.model.record import Body
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.storage.recordings import LARGE_TEXT
from recording.storage.trail import Trail
from recording.telemetry import log
from recording.workers import compute

# Event Grid doesn't pad: <SUBSCRIPTION>/2019/8/8/5/<guid>.json (year, month, day and hour in UTC).
_DEAD_LETTER = re.compile(r"(?:.*/)?(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/[0-9]{1,2}/[^/]+")

Outcome = Literal["accepted", "ignored", "partially accepted", "invalid", "unreadable", "failed"]


@dataclass(frozen=True)
class EventFile:
    """The bytes of a file or a blob, or why there are none; `is_quarantined` if it is a blob of the quarantine."""

    source: str
    body: bytes | None
    problem: str = ""
    is_quarantined: bool = False


@dataclass(frozen=True)
class ReplayResult:
    """The result for one event; `recording_key` is that of the recording that it announces."""

    source: str
    outcome: Outcome
    detail: str
    recording_key: str | None = None

    @property
    def ok(self) -> bool:
        """Return whether nothing is left to do about the event."""
        return self.outcome in ("accepted", "ignored")


@dataclass(frozen=True)
class _EventText:
    """The text of one event; `quarantined_at` only if it was in quarantine."""

    text: str
    quarantined_at: datetime | None = None


class EventReplayed(Body):
    """The result for one event of the quarantine."""

    outcome: Outcome
    detail: str
    recording_key: str | None = None


class QuarantineReplayed(Body):
    """The result for a blob of the quarantine: one event, or several that came together."""

    event_key: str
    events: list[EventReplayed]


class Replay:
    """Accepts events from files and blobs again."""

    def __init__(
        self, intake: Intake, queue: Queue, quarantine: Quarantine, trail: Trail, *, clock: Clock = utc_now
    ) -> None:
        self._intake = intake
        self._queue = queue
        self._quarantine = quarantine
        self._trail = trail
        self._clock = clock

    async def run(self, file: EventFile, *, dry_run: bool = False) -> list[ReplayResult]:
        """Accept every event of a file or blob; one that fails doesn't keep the others from being accepted.

        With `dry_run` nothing is written: the results say what would happen. An event of the quarantine of which
        nothing is left to do is listed no more.
        """
        if file.body is None:
            return [ReplayResult(file.source, "unreadable", file.problem)]
        try:
            texts = _events_of(file.body)
        except BadEvent as bad:
            return [ReplayResult(file.source, "unreadable", bad.message)]
        done = [await self._replay(one, file.source, dry_run=dry_run) for one in texts]
        if file.is_quarantined and not dry_run and all(one.ok for one in done):
            await self._quarantine.mark_replayed(file.source)
        return done

    async def quarantined(self, caller: Caller, event_key: str, *, reason: str | None = None) -> QuarantineReplayed:
        """Accept an event of the quarantine again; that it was asked for is on the trail first.

        Raises BadRequest for a malformed key, NotFound for an unknown one, Conflict if the event is still not
        understood, StorageUnavailable, and TrailUnavailable: after any of these but StorageUnavailable nothing was
        changed.
        """
        name = layout.quarantined_blob(event_key)
        if name is None:
            raise BadRequest(
                "an event key must have the form 20260301-sha256-<32 hexadecimal digits>", target="eventKey"
            )
        try:
            body = await self._quarantine.read(name)
        except (AzureError, TimeoutError) as failed:
            raise _unavailable(event_key, describe(failed)) from None
        if body is None:
            raise NotFound("there is no event of this key in quarantine", target="eventKey")
        file = EventFile(name, body, is_quarantined=True)
        expected = await self.run(file, dry_run=True)
        if all(one.outcome in ("invalid", "unreadable") for one in expected):
            why = "; ".join(one.detail for one in expected)
            raise Conflict(f"this event is still not understood: {why}", target="eventKey", code="NotUnderstood")
        key = next((one.recording_key for one in expected if one.recording_key), None)
        asked = partial(
            self._trail.write,
            caller,
            action="replay",
            recording=key,
            reason=reason,
            details={"eventKey": event_key, "expected": [str(one.outcome) for one in expected]},
        )
        await asked()
        try:
            done = await self.run(file)
        except (AzureError, TimeoutError) as failed:
            done = [ReplayResult(name, "failed", describe(failed))]
        if problems := [one.detail for one in done if one.outcome == "failed"]:
            unavailable = _unavailable(event_key, "; ".join(problems))
            with contextlib.suppress(RecordingError):
                await asked(outcome=unavailable.error_code, status=unavailable.http_status)
            raise unavailable
        log.warning("event.replayed", eventKey=event_key, recordingKey=key, outcomes=[one.outcome for one in done])
        events = [EventReplayed(outcome=d.outcome, detail=d.detail, recording_key=d.recording_key) for d in done]
        return QuarantineReplayed(event_key=event_key, events=events)

    async def _replay(self, one: _EventText, source: str, *, dry_run: bool) -> ReplayResult:
        try:
            event = await compute(lambda: event_parser.parse_event(one.text), is_long=len(one.text) > LARGE_TEXT)
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
            if isinstance(event, FileStatusUpdated) and await self._intake.is_erased(event):
                return ReplayResult(source, "ignored", "its recording was erased; nothing of it is kept")
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
            return ReplayResult(source, "failed", f"storage or ACS failed ({describe(failed)}); replay it again")
        if not isinstance(event, FileStatusUpdated):
            return ReplayResult(source, "accepted", type(event).__name__)
        chunks = len({chunk.document_id for chunk in event.chunks})
        count = f"{chunks} chunk{'s' * (chunks != 1)}{'' if dry_run else ' queued'}"
        detail = "; ".join((f"{event.recording_key}, {count}", *event.problems, *event.derived))
        return ReplayResult(source, "partially accepted" if event.problems else "accepted", detail, event.recording_key)


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


async def read_blob(blobs: Blobs, name: str, *, is_quarantined: bool = True) -> EventFile:
    """Read one blob of the quarantine container, which has dead letters if it is not `is_quarantined`."""
    return EventFile(name, await blobs.read("quarantine", name), "there is no such blob", is_quarantined)


async def quarantined_on(blobs: Blobs, day: date) -> AsyncIterator[EventFile]:
    """Read the events that were quarantined on a day (UTC)."""
    async for one in blobs.list_blobs("quarantine", f"{day:%Y/%m/%d}/"):
        yield await read_blob(blobs, one.name)


async def dead_lettered_on(dead_letters: Blobs, day: date) -> AsyncIterator[EventFile]:
    """Read the events that Event Grid gave up on a day (UTC); `dead_letters` has their container as its quarantine."""
    async for one in dead_letters.list_blobs("quarantine"):
        at = _DEAD_LETTER.fullmatch(one.name)
        if at and (int(at["year"]), int(at["month"]), int(at["day"])) == (day.year, day.month, day.day):
            yield await read_blob(dead_letters, one.name, is_quarantined=False)


def _unavailable(event_key: str, reason: str) -> StorageUnavailable:
    log.error("event.not_replayed", eventKey=event_key, reason=reason, next="replay it again")
    return StorageUnavailable(f"the event was not accepted: {reason}; replay it again")


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
