"""The load of a soak run: recordings that are made in the emulator over time, and valid and invalid events."""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from local.soak import events
from local.soak.plan import PlannedRecording
from local.soak.source import Source
from local.soak.watch import Watch, key_of

# With more recordings in flight the run would only measure the length of the queue. Those that wait for the end of a
# re-check or of the retention don't count: they keep no queue busy.
MOST_OPEN = 150
ROOM_SECONDS = 0.2


@dataclass
class Load:
    """Make the planned recordings, and keep what was sent."""

    source: Source
    watch: Watch
    planned: list[PlannedRecording]
    made: int = 0
    chunks: int = 0
    recordings: list[str] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    # Of invalid events, with the key of the recording that each is of, if it is of one.
    bad_markers: dict[str, str | None] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)
    # The keys of recordings that take their time by design.
    waiting: set[str] = field(default_factory=set)
    made_by_key: dict[str, dict[str, Any]] = field(default_factory=dict)
    # The number of changed or additional events, by kind.
    events: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Make all recordings and publish all their events."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.TaskGroup() as group:
            for planned in self.planned:
                await asyncio.sleep(started + planned.at_seconds - loop.time())
                while len(self.watch.open.keys() - self.waiting) >= MOST_OPEN:
                    # The plan is delayed as well, so that late recordings aren't made all at once afterwards.
                    await asyncio.sleep(ROOM_SECONDS)
                    started += ROOM_SECONDS
                group.create_task(self._one(planned))

    async def _one(self, planned: PlannedRecording) -> None:
        recording = await self._make(planned)
        if planned.is_expired:
            self.expired.add(recording["recordingId"])
        self.recordings.append(recording["recordingId"])
        self.made_by_key[key_of(recording)] = recording
        self.forms[recording["recordingId"]] = planned.form
        self.chunks += len(recording["chunks"])
        if planned.is_expired or planned.is_big or planned.form != "complete":
            self.waiting.add(key_of(recording))
        self.watch.add(recording, is_expired=planned.is_expired)
        event = self._own_event(recording, planned)
        await self._publish(recording, event, times=planned.repeats)
        if planned.false_year and planned.has_true_event:
            claim = events.file_event(
                recording, event_id=str(uuid.uuid4()), year=planned.false_year, label=planned.label
            )
            await self._publish(recording, claim, times=1)
        await self._publish_beside(planned)
        self.made += 1
        if planned.again_after is not None:
            await asyncio.sleep(planned.again_after)
            self.events["again"] += 1
            await self._publish(recording, event, times=1)

    async def _make(self, planned: PlannedRecording) -> dict[str, Any]:
        body = {
            "media": {"kind": "filler", "chunkBytes": list(planned.chunk_bytes), "form": planned.form},
            "announce": False,
            # The call took place before its event.
            "durationSeconds": planned.late_hours * 3600 + 10,
            "generation": planned.api,
            "formatType": planned.file_type,
        }
        recording: dict[str, Any] = await self.source.control("POST", "/recordings", body, status=201)
        if planned.is_expired:
            rules = [
                {"path": f"*/{chunk['documentId']}*", "kind": "expired", "times": None} for chunk in recording["chunks"]
            ]
            await self.source.control("POST", "/faults", rules, status=201)
        return recording

    def _own_event(self, recording: dict[str, Any], planned: PlannedRecording) -> dict[str, Any] | None:
        """Return the event of a recording if it is late, partly invalid or false, None to use the emulator's."""
        self.events["expired"] += planned.is_expired
        self.events["late"] += planned.late_hours > 0
        self.events["halfBad"] += planned.is_half_bad
        self.events["duplicates"] += planned.repeats - 1
        self.events["oddForm"] += planned.form != "complete"
        self.events["falseTime"] += planned.false_year is not None
        self.events["mislabelled"] += planned.label != planned.file_type
        self.events["big"] += planned.is_big
        self.events["oddEvent"] += planned.odd_event is not None
        is_false = planned.label != planned.file_type or (planned.false_year and not planned.has_true_event)
        if not planned.late_hours and not planned.is_half_bad and not is_false and planned.odd_event is None:
            return None
        event = events.file_event(
            recording,
            event_id=str(uuid.uuid4()),
            hours_ago=planned.late_hours,
            marker=self._marker(key_of(recording)) if planned.is_half_bad else None,
            year=None if planned.has_true_event else planned.false_year,
            label=planned.label,
        )
        return event if planned.odd_event is None else events.odd_event(event, planned.odd_event)

    async def _publish(self, recording: dict[str, Any], event: dict[str, Any] | None, *, times: int) -> None:
        if event is None:
            await self.source.control("POST", f"/recordings/{recording['recordingId']}/announce", {"times": times})
        else:
            for _ in range(times):
                await self.source.control("POST", "/events", event)

    async def _publish_beside(self, planned: PlannedRecording) -> None:
        """Publish invalid events at the same time, so that they share a batch with valid ones."""
        for kind in planned.bad_events:
            self.events["bad"] += 1
            self.events["other"] += 1
            bad = events.bad_event(kind, marker=self._marker())
            other = events.other_event(f"soak-other-{planned.number:06}")
            await self.source.control("POST", "/events", [bad, bad, other])

    def _marker(self, key: str | None = None) -> str:
        marker = f"soak-bad-{len(self.bad_markers):06}"
        self.bad_markers[marker] = key
        return marker
