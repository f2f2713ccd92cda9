"""What can happen to a recording that is held and erased, in the order that a seed says."""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recording.app import App, assemble
from recording.erasing.blocked import Blocked
from recording.errors import ChunkError, RecordingError
from recording.intake.replay import EventFile
from recording.model import layout
from recording.model.job import ChunkJob
from tests.support.erasures import ALAN, BODY, KilledBlobs, left, queued
from tests.support.facts import listing, receive, run_timer, to_archive
from tests.support.faults import Killed
from tests.support.source import mp4, storage_host, today

STEPS = 20
HOUR = timedelta(hours=1)


@dataclass
class World:
    """What can happen to one recording, in the order that a seed says; `held` are the cases that hold it."""

    app: App
    chance: random.Random
    events: list[dict[str, Any]]
    key: str
    held: set[str] = field(default_factory=set)
    jobs: list[ChunkJob] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def here(self, blobs: KilledBlobs | None = None) -> App:
        """Return the app of another process, now, with the holds of this world."""

        async def cases(_: str) -> list[str]:
            return sorted(self.held)

        clients = replace(self.app.clients, blobs=blobs) if blobs else self.app.clients
        made = assemble(self.app.settings, clients, clock=lambda: self.now)
        blocked = Blocked(clients.blobs, cases)
        return replace(made, erase=replace(made.erase, blocked=blocked), erasure=replace(made.erasure, blocked=blocked))

    async def announce(self) -> None:
        self.jobs += await receive(self.here(), self.chance.choice(self.events))

    async def replay(self) -> None:
        await self.here().replay.run(EventFile("x", json.dumps(self.chance.choice(self.events)).encode()))

    async def ingest(self) -> None:
        for job in self.chance.choices(self.jobs, k=2) if self.jobs else ():
            await self.here().ingest.run(job)

    async def timer(self) -> None:
        await run_timer(self.here(), now=self.now, archives_all=False)
        for key in await to_archive(self.app):
            await self.here().archive.run(key)

    async def erase(self) -> None:
        await run_timer(self.here(), now=self.now, archives_all=False)
        for key in await queued(self.app):
            await self.here().erase.run(key)

    async def killed_erase(self) -> None:
        await self.dying(lambda app: app.erase.run(self.key))

    async def killed_timer(self) -> None:
        await self.dying(lambda app: run_timer(app, now=self.now))

    async def ask(self) -> None:
        await self.here().erasure.ask(ALAN, self.key, BODY)

    async def call_off(self) -> None:
        await self.here().erasure.call_off(ALAN, self.key)

    async def hold(self) -> None:
        self.held.add("K-1")
        if await self.here().erasure.store.has_begun(self.key):
            self.held.clear()

    async def lift(self) -> None:
        self.held.clear()

    async def wait(self) -> None:
        self.now += self.chance.choice([HOUR, 12 * HOUR, 30 * HOUR])

    async def dying(self, what: Callable[[App], Awaitable[object]]) -> None:
        storage = KilledBlobs(self.app.settings, kill_after=self.chance.randint(0, 25))
        try:
            await what(self.here(storage))
        finally:
            await storage.aclose()

    async def step(self) -> None:
        """Do one thing."""
        steps = [
            *(self.announce, self.replay, self.ingest, self.timer, self.timer, self.erase, self.erase),
            *(self.killed_erase, self.killed_timer, self.ask, self.ask, self.call_off, self.hold, self.lift, self.wait),
        ]
        with contextlib.suppress(ChunkError, RecordingError, Killed, BaseExceptionGroup):
            await self.chance.choice(steps)()

    async def content(self) -> dict[str, str]:
        """Return what there is of the recording's bytes."""
        found = await listing(self.app.settings, "archive") | await listing(self.app.settings, "staging")
        return {digest: name for name, digest in found.items() if "/chunks/" in name}


async def ends_well(environment: dict[str, str], seed: int) -> bool:
    """Do what the seed says, look after each step and at the end, and return whether the recording was erased."""
    async with storage_host(environment) as (app, host):
        chunks = [host.add(mp4(400)), host.add(mp4(500))]
        events = [today(*chunks), today(chunks[0], event_id="first"), today(*chunks, event_id="late")]
        # An event without its start has another key. Before the erasure it would make another recording.
        moved = today(*chunks, event_id="moved")
        del moved["data"]["recordingStartTime"]
        key = (await receive(app, events[0]))[0].recording_key
        world = World(app, random.Random(seed), events, key)  # noqa: S311 - the same in every run of a seed
        for _ in range(STEPS):
            before, was_held = await world.content(), bool(world.held)
            await world.step()
            if was_held and world.held:
                assert before.keys() <= (await world.content()).keys(), "what is on hold was deleted"

        world.held.clear()
        for hours in (1, 30, 3, 1, 3):
            is_erased = bool(await app.tombstones.all())
            for event in [*events, moved] if is_erased else events:
                world.jobs += await receive(world.here(), event)
            await asyncio.gather(*(world.here().ingest.run(job) for job in world.jobs), return_exceptions=True)
            await world.timer()
            await world.erase()
            world.now += hours * HOUR
            await world.timer()
            await world.erase()

        erasure = layout.key_digest(key)
        steps = await world.here().erase.store.steps(erasure)
        if steps.certificate is None:
            assert await app.recordings.newest_manifest(key)
            assert frozenset() == await app.tombstones.all()
            return False
        assert steps.has_begun
        assert {erasure, *(layout.document_digest(c["documentId"]) for c in chunks)} <= await app.tombstones.all()
        assert set() == await left(app)
        assert steps.certificate.is_whole
        return True
