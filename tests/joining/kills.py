"""A worker that makes a joined file is killed after some writes: for `make test` and `make acceptance`."""

import contextlib

from recording.app import App
from recording.joining.fact import JoinedFile
from tests.support.facts import with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.joined import JOB, archived, joined, wav
from tests.support.manifests import KEY

# What is being made, a head, three ranges, a commit, and the fact; and some that aren't made.
WRITES = 9
# Of five, three and three blocks.
CHUNKS = (wav(20_000), wav(12_000, first=20_000), wav(9_001, first=32_000))
SAMPLES = b"".join(chunk[44:] for chunk in CHUNKS)


async def made(app: App) -> tuple[JoinedFile, bytes]:
    """Return the fact beside the joined file, and the file: there is one."""
    found = await joined(app)
    [name] = [one for one in found if one.endswith(".wav")]
    return JoinedFile.model_validate_json(found["file.json"]), found[name]


async def kill_and_deliver_again(app: App, writes: int) -> None:
    """Kill the worker after so many writes, and check that a second delivery makes the one file."""
    await archived(app.settings, CHUNKS)
    dying = FaultyBlobs(app.settings, kill_after=writes)
    with contextlib.suppress(Killed):
        await with_blobs(app, dying).joining.run(JOB)
    await dying.aclose()

    await app.joining.run(JOB)

    _, body = await made(app)
    assert body[-len(SAMPLES) :] == SAMPLES
    assert (await app.joining.verify(KEY)).ok
    assert not await app.clients.blobs.staged_blocks((await made(app))[0].parts[0].blob, where="derived")
