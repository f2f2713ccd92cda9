"""Erasures that are looked at when they have come to their end, whatever was in the way."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

from recording.app import App
from recording.model.erasure import Certificate
from tests.support.emulator import Control
from tests.support.erasures import ALAN, DAY, KilledBlobs, ask, later, left
from tests.support.facts import listing, stage, sweep, with_blobs
from tests.support.faults import Killed


async def certificate(app: App, erasure: str) -> Certificate:
    """Return the newest certificate of an erasure."""
    found = (await app.erasure.get(erasure)).certificate
    assert found is not None
    return found


async def everything(app: App) -> str:
    """Return all names and all text that storage has, in both containers, without the tombstones' and records' own."""
    found: list[str] = []
    for where in ("staging", "archive"):
        for name in await listing(app.settings, where):
            found += [name, repr(await app.clients.blobs.read(where, name))]
    return "\n".join(found)


async def ends_after_kills(app: App, control: Control, kills: Sequence[int]) -> list[bool]:
    """Erase a recording for each number of writes after which the process is killed; return which were killed.

    Each is erased in the end, by the next try, and nothing is left of any.
    """
    jobs = [(await stage(app, await control.recording(1000), event_id=f"event-{writes}"))[0] for writes in kills]
    assert len((await sweep(app)).archived) == len(kills)

    async def kill(writes: int, key: str) -> bool:
        await app.handout.view(ALAN, key)
        erasure = (await ask(app, key)).erasure_id
        dying = KilledBlobs(app.settings, kill_after=writes)
        is_killed = True
        with contextlib.suppress(Killed, BaseExceptionGroup):
            await with_blobs(later(app, DAY), dying).erase.run(key)
            is_killed = False
        await dying.aclose()
        for hours in (0, 3):
            await later(app, DAY + timedelta(hours=hours)).erase.run(key)

        told = await certificate(app, erasure)
        assert ("erased", 1) == ((await app.erasure.get(erasure)).state, told.found["chunks"]), writes
        assert {"ACS"} == {one.place for one in told.left}, writes
        return is_killed

    killed = await asyncio.gather(*(kill(writes, job.recording_key) for writes, job in zip(kills, jobs, strict=True)))
    assert set() == await left(app)
    text = await everything(app)
    assert not any(one in text for job in jobs for one in (job.recording_key, job.document_id))
    return killed
