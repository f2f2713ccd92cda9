"""What the structure of a chunk's bytes decides, from the copy to the deletion of the source: never their keeping."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.archives import manifest_of
from tests.support.facts import receive, sweep
from tests.support.source import storage_host, today, wav

WHOLE = wav(1000)
FORMS = {"complete": WHOLE, "truncated": WHOLE[:1000], "not media": bytes(range(1, 256)) * 8}


@pytest.mark.parametrize("verdict", FORMS)
async def test_form_never_costs_bytes(environment: dict[str, str], verdict: str) -> None:
    """What was delivered whole is safe after the first attempt: long after its deadline it is archived, not lost."""
    async with storage_host(environment) as (app, host):
        [job] = await receive(app, today(host.add(FORMS[verdict])))
        await app.ingest.run(job)

        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert (True, False) == (chunk.is_staged, chunk.is_lost)
        host.bodies.clear()
        await sweep(app, now=datetime.now(UTC) + timedelta(hours=100))
        [entry] = (await manifest_of(app, job.recording_key)).chunks
        assert ("archived", verdict) == (entry.outcome, entry.verdict)


@pytest.mark.parametrize("verdict", FORMS)
async def test_delete_source_skips_what_is_not_complete(environment: dict[str, str], verdict: str) -> None:
    """ACS may still get a better version of it: only the source of a complete chunk is deleted."""
    async with storage_host(environment, DELETE_SOURCE="true") as (app, host):
        [job] = await receive(app, today(host.add(FORMS[verdict])))
        await app.ingest.run(job)
        now = datetime.now(UTC)
        for minutes in (0, 66, 71):  # the re-check is over after an hour, then one last question
            await sweep(app, now=now + timedelta(minutes=minutes))

        [entry] = (await manifest_of(app, job.recording_key)).chunks
        assert ("archived", verdict) == (entry.outcome, entry.verdict)
        assert host.deletions() == ([job.document_id] if verdict == "complete" else [])
