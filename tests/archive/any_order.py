"""Events, attempts and runs in the order of a seed, where the app deletes what is archived at ACS."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from recording.app import App
from recording.errors import ChunkError
from recording.model.job import ChunkJob
from recording.model.manifest import Manifest
from recording.storage.endings import Ending
from tests.support.facts import listing, receive, run_timer, sweep, with_blobs, with_limits, worker
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import Host, mp3, storage_host, today, wav

STEPS = 25
MINUTE = timedelta(minutes=1)


def cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    """Write an event in the other schema."""
    told = {"specversion": "1.0", "source": "/x", "type": event["eventType"], "time": event["eventTime"]}
    return told | {name: event[name] for name in ("id", "subject", "data")}


def announcements(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Announce a recording whole, in parts, without locations, at another index, and under an id that is in use."""

    def at(minutes: int) -> str:
        return (datetime.now(UTC) - minutes * MINUTE).isoformat()

    bare = [{name: value for name, value in one.items() if not name.endswith("Location")} for one in chunks]
    events = [
        today(*chunks, event_id="all", eventTime=at(2)),
        today(chunks[0], event_id="first", eventTime=at(3)),
        today(*chunks[1:], event_id="rest", eventTime=at(1)),
        today(*bare, event_id="bare", eventTime=at(4)),
        today(chunks[0] | {"index": 7}, event_id="moved", eventTime=at(5)),
        today(chunks[2], {"documentId": "?"}, event_id="all", eventTime=at(2)),
    ]
    return events + [cloud_event(event) for event in events]


@dataclass
class World:
    """What can happen, in the order that a seed says."""

    app: App
    host: Host
    chance: random.Random
    events: list[dict[str, Any]]
    jobs: list[ChunkJob] = field(default_factory=list)

    async def announce(self) -> None:
        self.jobs += await receive(self.app, self.chance.choice(self.events))

    async def ingest(self) -> None:
        await asyncio.gather(*(worker(self.app).ingest.run(one) for one in self.chance.choices(self.jobs, k=2)))

    async def killed_ingest(self) -> None:
        await self.dying(5, lambda it: with_blobs(self.app, it).ingest.run(self.chance.choice(self.jobs)))

    async def killed_timer(self) -> None:
        app, now = self.app, datetime.now(UTC)
        await self.dying(15, lambda it: run_timer(with_blobs(app, it), now=now))

    async def two_timers(self) -> None:
        late = [self.app.ingest.run(one) for one in self.chance.sample(self.jobs, 1)]
        await asyncio.gather(sweep(self.app), sweep(self.app), *late)

    async def stop(self) -> None:
        ending = Ending(recording_id="cmlk", at=datetime.now(UTC), evidence="stopped through us")
        await self.app.endings.note(ending)

    async def refuse(self) -> None:
        self.host.refuse = None if self.host.refuse else 403

    async def dying(self, most: int, what: Callable[[FaultyBlobs], Awaitable[object]]) -> None:
        storage = FaultyBlobs(self.app.settings, kill_after=self.chance.randint(1, most))
        try:
            await what(storage)
        finally:
            await storage.aclose()

    async def step(self) -> None:
        """Do one thing; a chunk of which no location is known can't be fetched."""
        steps = [self.announce, self.ingest, self.killed_ingest, self.killed_timer, self.two_timers, self.refuse]
        with contextlib.suppress(ChunkError, Killed, BaseExceptionGroup):
            await self.chance.choice([*steps, self.ingest, self.stop] if self.jobs else [self.announce])()

    async def manifest(self) -> Manifest:
        written = await self.app.recordings.newest_manifest(self.jobs[0].recording_key)
        assert written is not None
        return written


async def in_any_order(environment: dict[str, str], seed: int) -> None:
    """Do what a seed says, and check after each step, and at the end, that nothing is lost."""
    async with storage_host(environment, DELETE_SOURCE="true") as (patient, host):
        app = with_limits(patient, block_pause_seconds=0.001)
        bodies = (wav(300), mp3(9), wav(301))
        chunks = [host.add(body, {"format": "wav"}) for body in bodies]
        wanted = {c["documentId"]: hashlib.sha256(b).hexdigest() for c, b in zip(chunks, bodies, strict=True)}
        chance = random.Random(seed)  # noqa: S311 - the order is to be the same in every run of a seed
        world = World(app, host, chance, announcements(chunks))

        for _ in range(STEPS):
            await world.step()
            if gone := wanted.keys() - host.bodies.keys():
                files = await listing(app.settings, "archive")
                safe = {e.document_id: e.content for e in (await world.manifest()).chunks if e.is_safe}
                assert {d: wanted[d] for d in gone} == {d: files[safe[d].blob] for d in gone}  # type: ignore[union-attr]

        host.refuse = None
        world.jobs += await receive(app, world.events[0])
        for minutes in (90, 180, 270):
            for job in world.jobs:
                await asyncio.gather(app.ingest.run(job), return_exceptions=True)
            assert [] == (await sweep(app, now=datetime.now(UTC) + minutes * MINUTE)).failed

        files, written = await listing(app.settings, "archive"), await world.manifest()
        assert wanted == {e.document_id: files[e.content.blob] for e in written.chunks if e.content}
        assert ({}, True, {}) == (await listing(app.settings, "staging"), written.complete, host.bodies)
        assert [] == [name for name in files if "absent" in name]
