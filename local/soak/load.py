"""The load of a soak run: recordings made in the emulator over time, and their events, good and bad."""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from local.soak import events
from local.soak.plan import PlannedRecording
from local.soak.source import Source
from local.soak.watch import Watch

# More in flight than this would only measure how long the queue is.
MOST_OPEN = 150
ROOM_SECONDS = 0.2


@dataclass
class Load:
    """Make what is planned; know what was sent."""

    source: Source
    watch: Watch
    planned: list[PlannedRecording]
    made: int = 0
    chunks: int = 0
    recordings: list[str] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    bad_markers: set[str] = field(default_factory=set)
    # What was done to events, by kind.
    events: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Make every recording, and publish the last repeat of every event."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.TaskGroup() as group:
            for planned in self.planned:
                await asyncio.sleep(started + planned.at_seconds - loop.time())
                while len(self.watch.open) >= MOST_OPEN:
                    # The plan waits with it: what is late is not made all at once afterwards.
                    await asyncio.sleep(ROOM_SECONDS)
                    started += ROOM_SECONDS
                group.create_task(self._one(planned))

    async def _one(self, planned: PlannedRecording) -> None:
        recording = await self._make(planned)
        if planned.is_expired:
            self.expired.add(recording["recordingId"])
        self.recordings.append(recording["recordingId"])
        self.chunks += len(recording["chunks"])
        self.watch.add(recording, is_expired=planned.is_expired)
        event = self._own_event(recording, planned)
        await self._publish(recording, event, times=planned.repeats)
        await self._publish_beside(planned)
        self.made += 1
        if planned.again_after is not None:
            await asyncio.sleep(planned.again_after)
            self.events["again"] += 1
            await self._publish(recording, event, times=1)

    async def _make(self, planned: PlannedRecording) -> dict[str, Any]:
        body = {
            "media": {"kind": "filler", "chunkBytes": list(planned.chunk_bytes)},
            "announce": False,
            # The call was before its event.
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
        """Build the event of a recording that is late or half bad; None: the emulator's own will do."""
        self.events["expired"] += planned.is_expired
        self.events["late"] += planned.late_hours > 0
        self.events["halfBad"] += planned.is_half_bad
        self.events["duplicates"] += planned.repeats - 1
        if not planned.late_hours and not planned.is_half_bad:
            return None
        marker = self._marker() if planned.is_half_bad else None
        return events.file_event(recording, event_id=str(uuid.uuid4()), hours_ago=planned.late_hours, marker=marker)

    async def _publish(self, recording: dict[str, Any], event: dict[str, Any] | None, *, times: int) -> None:
        if event is None:
            await self.source.control("POST", f"/recordings/{recording['recordingId']}/announce", {"times": times})
        else:
            await self.source.control("POST", "/events", [event] * times)

    async def _publish_beside(self, planned: PlannedRecording) -> None:
        """Publish what can't be understood at the same moment, so that it shares a batch with what is good."""
        for kind in planned.bad_events:
            self.events["bad"] += 1
            self.events["other"] += 1
            bad = events.bad_event(kind, marker=self._marker())
            other = events.other_event(f"soak-other-{planned.number:06}")
            await self.source.control("POST", "/events", [bad, bad, other])

    def _marker(self) -> str:
        marker = f"soak-bad-{len(self.bad_markers):06}"
        self.bad_markers.add(marker)
        return marker
