"""recording/erasing/others.py: what a case holds under one key is not erased under another."""

from typing import Any

import pytest

from recording.app import App
from recording.errors import Conflict
from tests.keeping.worlds import lift, place
from tests.support.erasures import ask, do
from tests.support.facts import receive, sweep
from tests.support.source import mp4, storage_host, today


async def with_two_keys(app: App, host: Any, *, archives: bool) -> tuple[str, str]:
    """Announce a recording with its start and without it; return the keys, and keep the first one from the archive."""
    chunk = host.add(mp4(5000))
    [job] = await receive(app, today(chunk))
    if archives:
        await app.ingest.run(job)
        await sweep(app)
    moved = today(chunk, event_id="moved")
    del moved["data"]["recordingStartTime"]
    [other] = await receive(app, moved)
    await app.ingest.run(other)
    return job.recording_key, other.recording_key


@pytest.mark.parametrize("archives", [True, False])
async def test_a_hold_under_another_key_forbids_it(environment: dict[str, str], archives: bool) -> None:
    """The source at ACS and the jobs of its chunks are the same; in flight by its documents, archived by its id."""
    async with storage_host(environment, SOURCE_RETENTION_HOURS="48") as (app, host):
        first, second = await with_two_keys(app, host, archives=archives)
        asked = await ask(app, second)
        await place(app, first, "K-1")

        await do(app)

        found = await app.erasure.get(asked.erasure_id)
        assert ("refused", ["hold"]) == (found.state, found.reasons)
        assert host.bodies
        with pytest.raises(Conflict, match=f"K-1, for {first}"):
            await ask(app, second)
        await lift(app, first, "K-1")
        await ask(app, second)
        assert [second] == await do(app)


async def test_a_hold_of_another_recording_forbids_nothing(environment: dict[str, str]) -> None:
    """Of the same call or not."""
    async with storage_host(environment) as (app, host):
        first, second = [
            (await receive(app, today(host.add(mp4(5000 + one)), event_id=f"e{one}") | {"subject": subject}))[0]
            for one, subject in enumerate(
                f"/recording/call/3f2b0e4c-000{one}-4000-8000-000000000001/recordingId/cmlk{one}" for one in range(2)
            )
        ]
        await place(app, first.recording_key, "K-1")
        await ask(app, second.recording_key)

        assert [second.recording_key] == await do(app)
