"""The watch over recordings that were stopped and are never announced.

A stopped recording is announced minutes later (docs/acs-contract.md#2021-file-event). Without that event no chunk is
known that could be at risk; the marker that the stop left in staging is what makes it visible. The timer clears the
marker when it meets the event, reports the recording when the event is overdue, and at last records its absence in a
manifest.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from recording.archive.matching import AnnouncedRecording, match_endings
from recording.archive.run import Run
from recording.errors import ManifestUnreadable, Misconfigured, describe
from recording.model import conversation, events, layout
from recording.model.index import RecordingSummary
from recording.model.manifest import Absence, Manifest, known_ids
from recording.model.pending import PendingEnding
from recording.model.recording import InFlightRecording
from recording.model.started import Started
from recording.notices import Notice, RunNotices, Topic
from recording.storage.endings import Ending, Endings
from recording.storage.index import Index
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log
from recording.workers import run_each

_DAY = timedelta(days=1)
_PARALLELISM = 16
# For the rows of a day: with a table that is silent, there must be time for manifests.
_ROWS_SECONDS = 15.0


@dataclass
class _Sweep:
    """One sweep; `started` is when recordings began, by the digest of their id, where the trail has their start.

    `began` is the same by the facts of starts, to match with: the key of an absent recording must not depend on it,
    since it is looked up only where an event may need it.
    """

    notices: RunNotices
    now: datetime
    started: dict[str, datetime] = field(default_factory=dict)
    began: dict[str, datetime] = field(default_factory=dict)

    def key(self, one: PendingEnding) -> str:
        """Name the recording, by its start if that is known."""
        return layout.absent_key(self.started.get(one.digest, one.stopped), one.digest)


@dataclass(frozen=True)
class UnannouncedWatch:
    """Watches over stopped recordings; `overdue` is how long after the stop the event is waited for.

    `retention` is how long ACS keeps a recording. `matches_by_time` is for the 2021 preview API, whose events don't
    name the recording. `timeout` is in seconds: archiving comes next, and must not wait.
    """

    recordings: RecordingStore
    endings: Endings
    starts: StartClaims
    index: Index
    topic: Topic
    retention: timedelta
    overdue: timedelta
    matches_by_time: bool
    timeout: float = 60.0

    async def sweep(self, run: Run) -> bool:
        """Check every pending ending against the recordings in flight; False if that could not be completed.

        To be done before any recording in flight is emptied. Raises nothing that storage or the topic says.
        """
        try:
            async with asyncio.timeout(self.timeout):
                sweep = _Sweep(RunNotices(self.topic), run.now)
                await self._sweep(sweep, [one for recording in run.seen for one in as_announced(recording)])
            return True
        except (AzureError, TimeoutError) as failed:
            log.warning("endings.not_swept", reason=describe(failed), next="the next run tries again")
        except Exception:
            log.exception("endings.not_swept", next="the next run tries again")
        return False

    async def has_overdue(self, now: datetime) -> bool:
        """Return whether an event is overdue; True, too, if storage doesn't say."""
        try:
            async with asyncio.timeout(self.timeout):
                return any(one.stopped + self.overdue <= now for one in await self.endings.pending())
        except (AzureError, TimeoutError):
            return True

    async def _sweep(self, sweep: _Sweep, announced: list[AnnouncedRecording]) -> None:
        stopped = await self.endings.pending()
        if any(event.digest is None for event in announced):
            # Of a recording that was paused the end says nothing; when its event is overdue, it is archived.
            sweep.began = await began(self.starts, stopped)
        left = await self._clear_announced(sweep, stopped, announced)
        late = [one for one in left if one.stopped + self.overdue <= sweep.now]
        # Looking for what was archived before its marker was written costs most: only when something depends on it.
        unsure = [one for one in late if not one.reported or self._is_past(sweep, one)]
        if unsure:
            archived = await self._archived(sweep, unsure)
            if self.matches_by_time:
                archived += await self._archived_without_id(unsure)
            absent = await self._clear_announced(sweep, unsure, [*announced, *archived])
            # What is new comes first: of thousands that are overdue, a run may only have time for some.
            late = [*absent, *(one for one in late if one not in {*unsure})]
        await run_each(lambda one: self._report(sweep, one), late, at_once=_PARALLELISM)

    async def _clear_announced(
        self, sweep: _Sweep, stopped: Sequence[PendingEnding], announced: Sequence[AnnouncedRecording]
    ) -> list[PendingEnding]:
        """Clear the markers of announced recordings, and return what is still pending."""
        # Dicts keep the order, and an item is removed without a search.
        left, free = dict.fromkeys(stopped), dict.fromkeys(announced)

        async def clear(pair: tuple[PendingEnding, AnnouncedRecording]) -> None:
            one, event = pair
            if event.digest is None:
                free.pop(event, None)
                if not await self.endings.assign(one, event.key):
                    return
            await self.endings.clear(one)
            left.pop(one)

        while found := match_endings(left, free, started=sweep.began | sweep.started):
            await run_each(clear, found.items(), at_once=_PARALLELISM)
        return list(left)

    def _is_past(self, sweep: _Sweep, one: PendingEnding) -> bool:
        """Return whether the service has deleted the recording, if it ever had it."""
        return one.stopped + self.retention <= sweep.now

    async def _report(self, sweep: _Sweep, one: PendingEnding) -> None:
        """Report a recording that isn't announced: in the log on every run, to others once, at last in a manifest."""
        ending = await self.endings.find_pending(one)
        if ending is None:
            return
        is_past = self._is_past(sweep, one)
        started = await self.starts.find_if_possible(ending.recording_id)
        call = conversation.server_call_id(ending.conversation_id or "")
        facts: dict[str, object] = {
            "recordingId": ending.recording_id,
            "conversationId": ending.conversation_id,
            "stoppedAt": ending.at.isoformat(),
        }
        facts |= known_ids(ending.recording_id, call, started.reference if started else None)
        action = "its absence is recorded in the archive" if is_past else "its event is waited for until ACS deletes it"
        log.error("recording.not_announced", **facts, next=action)
        key = sweep.key(one)
        if is_past:
            absence = self._absence(sweep, key, one, ending, started)
            await self.recordings.write_manifest(absence)
            lost = {"recordingKey": key, "manifest": layout.manifest_blob(key), "chunks": 0, "missing": [], **facts}
            log.error("recording.absent", **lost)
            is_published = await sweep.notices.publish(Notice("Recording.Lost", key, "revision 1", sweep.now, lost))
            if await self._write_row(absence) and is_published:
                await self.endings.clear(one)
        elif not one.reported and await sweep.notices.publish(
            Notice("Recording.AtRisk", key, "not announced", sweep.now, facts)
        ):
            await self.endings.mark_reported(one)

    async def _write_row(self, absence: Manifest) -> bool:
        """Write the rows of an absent recording; False if the next run has to: others are to be reported as well."""
        try:
            await self.index.write(absence)
        except AzureError as failed:
            log.warning("index.not_written", recordingKey=absence.recording_key, reason=type(failed).__name__)
            return False
        return True

    def _absence(
        self, sweep: _Sweep, key: str, one: PendingEnding, ending: Ending, started: Started | None
    ) -> Manifest:
        """Build the manifest of an absent recording, with the evidence."""
        hours = round(self.retention / timedelta(hours=1), 2)
        return Manifest(
            recording_key=key,
            call_id="unknown",
            recording_id=ending.recording_id,
            server_call_id=conversation.server_call_id(ending.conversation_id or ""),
            conversation_id=ending.conversation_id,
            reference=started.reference if started else None,
            recording_start_time=sweep.started.get(one.digest, one.stopped),
            recording_duration_ms=None,
            session_end_reason=None,
            complete=False,
            state="absent",
            archived_at=sweep.now,
            absent=Absence(
                evidence=f"it was stopped through this app, and no file event announced it within {hours:g} hours",
                stopped_at=ending.at,
                stopped_by=ending.who,
                conversation_id=ending.conversation_id,
            ),
            events=[],
            chunks=[],
        )

    async def _is_settled(self, known: Ending) -> bool:
        """Return whether the recording whose event announced an ending has its id, and not only a claim of it."""
        if known.recording_key is None:
            return True
        try:
            written = await self.recordings.first_manifest(known.recording_key)
        except ManifestUnreadable:
            return True  # `verify` reports it
        own = written.recording_id if written else None
        return own is not None and layout.recording_digest(own) == layout.recording_digest(known.recording_id)

    async def _archived(self, sweep: _Sweep, late: Sequence[PendingEnding]) -> list[AnnouncedRecording]:
        """List recordings that were announced and archived before the marker of their stop was written.

        The fact of their ending shows it. When each began is put into the sweep. Only facts that the markers name are
        read: a day may have tens of thousands of recordings.
        """
        found: list[AnnouncedRecording] = []

        async def ask(one: PendingEnding) -> None:
            ending = await self.endings.find_pending(one)
            if ending is None:
                return
            # Raises what storage says: a recording must not be absent under one key now, and another one later.
            started = await self.starts.find(ending.recording_id)
            if started and started.at:
                sweep.started[one.digest] = started.at
            known = await self.endings.find(ending.recording_id)
            if known and known.evidence == "announced" and await self._is_settled(known):
                found.append(AnnouncedRecording(one.digest, one.digest, sweep.now, None))

        await run_each(ask, late, at_once=_PARALLELISM)
        return found

    async def _archived_without_id(self, late: Sequence[PendingEnding]) -> list[AnnouncedRecording]:
        """List the archived recordings of the same days that are known by their times only.

        Their rows have the times, a thousand to an answer. Manifests are read of those that have no row.
        """
        found: list[AnnouncedRecording] = []

        def add(key: str, recording_id: str | None, start: datetime, duration_ms: int | None) -> None:
            if recording_id is None:
                found.append(AnnouncedRecording(key, None, start, events.recording_end(start, duration_ms)))

        async def read(key: str) -> None:
            try:
                written = await self.recordings.first_manifest(key)
            except ManifestUnreadable:
                return  # `verify` reports it
            if written:
                add(key, written.recording_id, written.recording_start_time, written.recording_duration_ms)

        for day in _days(late):
            rows = await self._rows(day)
            for key, row in rows.items():
                add(key, row.recording_id, row.recording_start_time, row.recording_duration_ms)
            keys = await self.recordings.archived_keys_of(f"{day:%Y/%m/%d}")
            await run_each(read, [key for key in keys if key not in rows], at_once=_PARALLELISM)
        return found

    async def _rows(self, day: datetime) -> dict[str, RecordingSummary]:
        """Return the rows of what was archived of a day, as far as the table has them and answers."""
        found: dict[str, RecordingSummary] = {}
        try:
            async with asyncio.timeout(_ROWS_SECONDS):
                async for one in self.index.archived_on(day):
                    found[one.recording_key] = one
        except (AzureError, Misconfigured, TimeoutError) as failed:
            log.warning("index.not_read", reason=describe(failed), next="manifests are read instead")
        return found


async def began(starts: StartClaims, stopped: Iterable[PendingEnding]) -> dict[str, datetime]:
    """Return when stopped recordings began, by the digest of their id, where a fact says that.

    Raises azure-core's errors.
    """
    found: dict[str, datetime] = {}

    async def read(one: PendingEnding) -> None:
        started = await starts.find_by_digest(one.digest)
        if started and started.at:
            found[one.digest] = started.at

    await run_each(read, stopped, at_once=_PARALLELISM)
    return found


def as_announced(recording: InFlightRecording) -> Iterable[AnnouncedRecording]:
    """Return the recording that the events of one in flight announce: what is settled of it, not what each claims.

    An event of exported files settles only a recording that it names.
    """
    digest = layout.recording_digest(recording.recording_id) if recording.recording_id else None
    if recording.events and (digest or not any(event.exported for event in recording.events)):
        start = layout.recording_start(recording.key)
        yield AnnouncedRecording(recording.key, digest, start, events.recording_end(start, recording.duration_ms))


def _days(late: Sequence[PendingEnding]) -> list[datetime]:
    """List the days on which the recordings may have started: a recording is rarely longer than one."""
    return sorted({one.stopped.replace(hour=12) - back for one in late for back in (0 * _DAY, _DAY)})
