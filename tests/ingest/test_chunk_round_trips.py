"""recording/ingest/chunk.py: how many requests a chunk takes, and how many of these wait for each other."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

from local.storage_faults import operation
from recording.app import App
from tests.support.emulator import Control
from tests.support.facts import MIB, announce, listing, proved, with_limits

# Longer than a body of 4 MiB needs to arrive on a busy machine.
QUIET_SECONDS = 0.15


@dataclass
class Rounds:
    """Holds each request of this process until nothing else is in progress: what is released at once is a round."""

    rounds: list[list[str]] = field(default_factory=list)
    _waiting: list[tuple[str, asyncio.Event]] = field(default_factory=list)
    _running: int = 0

    def hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hold every request from now on."""
        original = aiohttp.ClientSession._request

        async def request(session: aiohttp.ClientSession, method: str, url: Any, **more: Any) -> aiohttp.ClientResponse:
            released = asyncio.Event()
            self._waiting.append((name_of(method, str(url)), released))
            await released.wait()
            # The body of a block comes from a request of its own, which may be held.
            counts = "comp=block&" not in str(url)
            self._running += counts
            try:
                return await original(session, method, url, **more)
            finally:
                self._running -= counts

        monkeypatch.setattr(aiohttp.ClientSession, "_request", request)

    async def release(self) -> None:
        """Release round after round, for ever."""
        seen = 0
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            if self._waiting and not self._running and seen == len(self._waiting):
                released, self._waiting = self._waiting, []
                self.rounds.append(sorted(name for name, _ in released))
                for _, event in released:
                    event.set()
            seen = len(self._waiting)


def name_of(method: str, url: str) -> str:
    """Name the request as Blob Storage or the source would."""
    where = URL(url)
    if "/recording/download/" in where.path:
        return "source " + ("metadata" if where.path.endswith("/metadata") else "content")
    folder = where.path.split("/")[-2]
    name = operation("blob", method, where.path, query=where.query, headers={})
    return f"{name} {folder if folder in ('chunks',) else where.path.split('/')[-3]}"


# Is there a manifest, is there a tombstone; is there a chunk, or are there blocks of it.
LOOKS = {"GetBlob": 2, "GetBlobProperties": 1, "GetBlockList": 1}


@pytest.mark.parametrize(
    ("size", "expected", "blocks"),
    [(1, 2, 1), (4 * MIB, 2, 1), (4 * MIB + 1, 3, 1), (8 * MIB, 3, 1), (20 * MIB, 4, 4), (64 * MIB, 4, 8)],
)
async def test_so_many_round_trips_and_requests(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch, size: int, expected: int, blocks: int
) -> None:
    """Two up to 4 MiB, three for one block, four for any larger chunk whose blocks have a stream each."""
    [job] = await announce(app, await control.recording(max(size, 300)))
    rounds = Rounds()
    with monkeypatch.context() as patched:
        rounds.hold(patched)
        releasing = asyncio.create_task(rounds.release())
        await app.ingest.run(job)
        releasing.cancel()
        with suppress(asyncio.CancelledError):
            await releasing

    assert expected == len(rounds.rounds), rounds.rounds
    made = Counter(name.split()[0] for some in rounds.rounds for name in some)
    # That it began, the metadata file, the chunk if it is small.
    puts = {"PutBlob": 3} if size <= 4 * MIB else {"PutBlob": 2, "PutBlock": blocks, "PutBlockList": 1}
    assert LOOKS | puts | {"DeleteBlob": 1, "source": blocks + 1} == made
    assert (await proved(app, job)).blocks == blocks
    assert {"events", "chunks"} == {name.split("/")[1] for name in await listing(app.settings, "staging")}


async def test_receipts_are_written_only_where_blocks_are_waiting(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five blocks on two streams three get one, beside the next block."""
    [job] = await announce(app, await control.recording(20 * MIB))
    rounds = Rounds()
    with monkeypatch.context() as patched:
        rounds.hold(patched)
        releasing = asyncio.create_task(rounds.release())
        await with_limits(app, parallelism=2, largest_block=4 * MIB).ingest.run(job)
        releasing.cancel()
        with suppress(asyncio.CancelledError):
            await releasing

    made = Counter(name.split()[0] for some in rounds.rounds for name in some)
    assert 5 + 3 == made["PutBlock"]
    assert {"PutBlockList", "DeleteBlob"} == {name.split()[0] for name in rounds.rounds[-1]}
