"""Files of every kind on their way from a source into the archive, compared with their verdicts."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

from recording.app import App
from recording.errors import SourceDamaged
from recording.model.job import ChunkJob
from recording.model.manifest import Manifest
from tests.support.archives import give_up, manifest_of
from tests.support.facts import receive, sweep, with_limits
from tests.support.judged import judged
from tests.support.source import Host, storage_host, today
from tests.support.vectors import COMPLETE, EMPTY, ERROR_PAGE, NOT_MEDIA, REMARK, TRUNCATED

KEPT = COMPLETE | REMARK | TRUNCATED | NOT_MEDIA
REFUSED = ERROR_PAGE | EMPTY
HOUR = timedelta(hours=1)


async def keep_all(app: App, host: Host, bodies: list[bytes]) -> Manifest:
    """Bring chunks of one recording into the archive; what is refused is lost."""
    jobs = await receive(app, today(*(host.add(body) for body in bodies)))
    quick, turn = with_limits(app, block_pause_seconds=0.01), asyncio.Semaphore(8)

    async def bring(job: ChunkJob) -> None:
        async with turn:
            await quick.ingest.run(job)

    done = await asyncio.gather(*map(bring, jobs), return_exceptions=True)
    assert all(isinstance(one, SourceDamaged | None) for one in done)
    refused = [job for job, failed in zip(jobs, done, strict=True) if failed]
    await give_up(app, *refused)
    await sweep(app, now=datetime.now(UTC) + 25 * HOUR)
    return await manifest_of(app, jobs[0].recording_key)


async def archive_vectors(environment: dict[str, str], names: list[str], *, takes_ranges: bool) -> None:
    """Bring vectors into one recording, and compare each with its manifest."""
    bodies = {name: (KEPT | REFUSED)[name]() for name in names}
    async with storage_host(environment) as (app, host):
        host.takes_ranges = takes_ranges
        written = await keep_all(app, host, list(bodies.values()))

        for (name, body), entry in zip(bodies.items(), written.chunks, strict=True):
            if name in REFUSED:
                assert (name, "lost", None) == (name, entry.outcome, entry.content)
                continue
            verdict = judged(body)
            assert entry.content is not None
            assert (name, "archived", hashlib.sha256(body).hexdigest()) == (name, entry.outcome, entry.content.sha256)
            assert (name, verdict.outcome) == (name, entry.verdict)
            assert set(verdict.remarks) <= set(entry.remarks)
        assert (await app.verifier.verify(written.recording_key)).ok
