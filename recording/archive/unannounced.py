"""The watch over recordings that were stopped and are never announced.

A stopped recording is announced minutes later (docs/acs-contract.md#2021-file-event). Where it isn't, no chunk is known
that could be at risk: the marker is what makes it seen. The timer takes it away when it meets the
event, reports it when the event is overdue, and at last states the absence in a manifest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.archive.matching import AnnouncedRecording, match_endings
from recording.config.settings import Settings
from recording.model import events, layout
from recording.model.manifest import Absence, Manifest
from recording.model.pending import PendingEnding
from recording.model.recording import InFlightRecording
from recording.notices import Notice, RunNotices, Topic
from recording.storage.audit import AuditLog
from recording.storage.endings import Ending, Endings
from recording.storage.recordings import RecordingStore
from recording.telemetry import log

_DAY = timedelta(days=1)
# The archive's run comes next, and must not wait for this.
_SECONDS = 60.0
_PARALLELISM = 16


async def sweep(
    recordings: RecordingStore,
    endings: Endings,
    audit: AuditLog,
    settings: Settings,
    topic: Topic,
    in_flight: Iterable[InFlightRecording],
    *,
    now: datetime,
) -> bool:
    """Look after every pending ending; `in_flight` is taken before any recording is emptied.

    Raises nothing that storage or the topic says, for the archive's run goes on; False if the look isn't done.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            this = _Sweep(recordings, endings, audit, settings, RunNotices(topic), now)
            await _sweep(this, [a for one in in_flight for a in _announced(one)])
        return True
    except (AzureError, TimeoutError) as failed:
        log.warning("endings.not_swept", reason=type(failed).__name__, next="the next run tries again")
    except Exception:
        log.exception("endings.not_swept", next="the next run tries again")
    return False


@dataclass
class _Sweep:
    """What one run works with."""

    recordings: RecordingStore
    endings: Endings
    audit: AuditLog
    settings: Settings
    telling: RunNotices
    now: datetime
    started: dict[str, datetime] = field(default_factory=dict)

    def is_past(self, one: PendingEnding) -> bool:
        """Tell whether the service has deleted the recording, if it ever had it."""
        return one.stopped + self.settings.retention <= self.now

    def key(self, one: PendingEnding) -> str:
        """Name the recording, by its start if that is known."""
        return layout.absent_key(self.started.get(one.word, one.stopped), one.word)


async def _sweep(this: _Sweep, announced: list[AnnouncedRecording]) -> None:
    left = await _settle(this, await this.endings.pending(), announced)
    overdue = timedelta(minutes=this.settings.unannounced_minutes)
    late = [one for one in left if one.stopped + overdue <= this.now]
    # A look at what came and went before the marker did costs most: it's taken when something depends on it.
    unsure = [one for one in late if not one.told or this.is_past(one)]
    if unsure:
        by_id = await this.audit.starts_on(_days(unsure))
        this.started = {layout.recording_digest(recording_id): at for recording_id, at in by_id.items()}
        absent = await _settle(this, unsure, [*announced, *await _archived(this, unsure)])
        late = [one for one in late if one not in unsure or one in absent]
    await _each(lambda one: _report(this, one), late)


async def _settle(
    this: _Sweep, stopped: Sequence[PendingEnding], announced: Sequence[AnnouncedRecording]
) -> list[PendingEnding]:
    """Take the markers of what is announced away; the answer is what is still pending."""
    left, free = list(stopped), list(announced)

    async def settle(pair: tuple[PendingEnding, AnnouncedRecording]) -> None:
        one, event = pair
        if event.word is None:
            free.remove(event)
            if not await this.endings.assign(one, event.key):
                return
        await this.endings.clear(one)
        left.remove(one)

    while found := match_endings(left, free, started=this.started):
        await _each(settle, found.items())
    return left


async def _each[Item](step: Callable[[Item], Awaitable[None]], items: Iterable[Item]) -> None:
    """Do a step for each, several at a time."""
    for some in batched(items, _PARALLELISM, strict=False):
        await asyncio.gather(*(step(one) for one in some))


async def _report(this: _Sweep, one: PendingEnding) -> None:
    """Say that a stopped recording isn't announced: in the log on every run, to others once, at last for good."""
    ending = await this.endings.find_pending(one)
    if ending is None:
        return
    past = this.is_past(one)
    facts: dict[str, object] = {
        "recordingId": ending.recording_id,
        "conversationId": ending.conversation_id,
        "stoppedAt": ending.at.isoformat(),
    }
    left = "its absence is stated in the archive" if past else "it is waited for until ACS has deleted it"
    log.error("recording.not_announced", **facts, next=left)
    key = this.key(one)
    if past:
        written = _manifest(this, key, one, ending)
        await this.recordings.write_manifest(written)
        lost = {"recordingKey": key, "manifest": layout.manifest_blob(key), "chunks": 0, "missing": [], **facts}
        log.error("recording.absent", **lost)
        if await this.telling.tell(Notice("Recording.Lost", key, "revision 1", this.now, lost)):
            await this.endings.clear(one)
    elif not one.told and await this.telling.tell(Notice("Recording.AtRisk", key, "not announced", this.now, facts)):
        await this.endings.mark_reported(one)


def _manifest(this: _Sweep, key: str, one: PendingEnding, ending: Ending) -> Manifest:
    """State that a recording is absent, and how we know."""
    hours = round(this.settings.retention / timedelta(hours=1), 2)
    return Manifest(
        recording_key=key,
        call_id="unknown",
        recording_id=ending.recording_id,
        server_call_id=None,
        recording_start_time=this.started.get(one.word, one.stopped),
        recording_duration_ms=None,
        session_end_reason=None,
        complete=False,
        state="absent",
        archived_at=this.now,
        absent=Absence(
            evidence=f"it was stopped through us, and no file event told of it within {hours:g} hours",
            stopped_at=ending.at,
            stopped_by=ending.who,
            conversation_id=ending.conversation_id,
        ),
        events=[],
        chunks=[],
    )


def _announced(recording: InFlightRecording) -> Iterable[AnnouncedRecording]:
    """Say what the events of a recording in flight announce."""
    for event in recording.events:
        word = layout.recording_digest(event.recording_id) if event.recording_id else None
        yield AnnouncedRecording(recording.key, word, event.start, event.end)


async def _archived(this: _Sweep, late: Sequence[PendingEnding]) -> list[AnnouncedRecording]:
    """Look for recordings that were announced and archived before the marker of their stop was written.

    Of today's the fact of their ending tells; those of 2021 are known by their times only.
    """
    found: list[AnnouncedRecording] = []

    async def ask(one: PendingEnding) -> None:
        ending = await this.endings.find_pending(one)
        known = await this.endings.find(ending.recording_id) if ending else None
        if known and known.evidence == "announced":
            found.append(AnnouncedRecording(one.word, one.word, this.now, None))

    await _each(ask, late)
    if not this.settings.speaks_2021:
        return found

    async def read(key: str) -> None:
        try:
            written = await this.recordings.first_manifest(key)
        except ValidationError:
            return  # `verify` reports it
        if written and written.recording_id is None:
            start = written.recording_start_time
            found.append(
                AnnouncedRecording(key, None, start, events.recording_end(start, written.recording_duration_ms))
            )

    keys = [key for day in _days(late) for key in await this.recordings.archived_keys_of(f"{day:%Y/%m/%d}")]
    await _each(read, keys)
    return found


def _days(late: Sequence[PendingEnding]) -> list[datetime]:
    """List the days on which the recordings may have started: a recording is rarely longer than one."""
    return sorted({one.stopped.replace(hour=12) - back for one in late for back in (0 * _DAY, _DAY)})
