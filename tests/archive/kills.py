"""Jobs and runs that archive are killed after some writes: for `make test` and `make acceptance`."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from recording.app import App
from tests.support.archives import manifest_of
from tests.support.facts import listing, receive, run_timer, sweep, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.proved import KEY, stage_files
from tests.support.source import Host, mp3, storage_host, today, wav

# A chunk and its metadata file and the event are copied; the proof and the manifest are written; these three, the
# proof and the note are deleted.
JOB_WRITES = 10


async def kill_job(app: App, after: int) -> None:
    """Kill the job after so many writes, and check that the next one ends it."""
    [one] = await stage_files(app, wav(500))
    await run_timer(app, now=datetime.now(UTC), archives_all=False)
    dying = FaultyBlobs(app.settings, kill_after=after)
    with contextlib.suppress(Killed, BaseExceptionGroup):
        await with_blobs(app, dying).archive.run(KEY)
        assert after > JOB_WRITES
    await dying.aclose()

    await app.archive.run(KEY)

    assert ({}, 4) == (await listing(app.settings, "staging"), len(await listing(app.settings, "archive")))
    [entry] = (await manifest_of(app, KEY)).chunks
    assert (one.document_id, "archived", "crc64") == (entry.document_id, entry.outcome, entry.copy_compared)
    assert (await app.verifier.verify(KEY)).ok


DELETE = {"DELETE_SOURCE": "true"}


@asynccontextmanager
async def staged(
    environment: dict[str, str], *, more: dict[str, str] = DELETE, **changes: Any
) -> AsyncIterator[tuple[App, Host, str]]:
    """Two chunks in staging and at ACS, and the recording's key."""
    async with storage_host(environment, **more) as (app, host):
        jobs = await receive(app, today(host.add(wav(500), {"format": "wav"}), host.add(mp3(9)), **changes))
        for job in jobs:
            await app.ingest.run(job)
        host.asked.clear()
        yield app, host, jobs[0].recording_key


# Two chunks, two metadata files and an event are copied, the proofs of two copies, the manifest and the fact of its
# notice are written, the chunks, metadata files and proofs are deleted, then that fact and the event.
RUN_WRITES = 17


async def kill_run(environment: dict[str, str], after: int) -> None:
    """Kill a run after so many writes: what is deleted at ACS is in the archive by then, and the next run ends it."""
    async with staged(environment) as (app, host, key):
        dying = FaultyBlobs(app.settings, kill_after=after)
        with pytest.raises(BaseExceptionGroup):
            await run_timer(with_blobs(app, dying), now=datetime.now(UTC))
        await dying.aclose()
        if len(host.bodies) < 2:
            assert (await manifest_of(app, key)).complete

        await sweep(app)

        assert ({}, {}) == (host.bodies, await listing(app.settings, "staging"))
        assert (await manifest_of(app, key)).complete
        assert 1 == await revisions(app, key)


async def revisions(app: App, key: str) -> int:
    """Count a recording's manifests."""
    return len([name for name in await listing(app.settings, "archive") if f"{key}/recording" in name])
