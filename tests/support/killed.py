"""Runs of the timer that are killed at a write: what the next run must make good."""

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st

from recording.app import App
from recording.config.settings import read_settings
from tests.support.archives import give_up
from tests.support.emulator import Control, file_event
from tests.support.facts import listing, receive, run_timer, sweep, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.source import close, open_app

MINUTE = timedelta(minutes=1)
# Two chunks, two metadata files and an event are copied, the proofs of two copies and the manifest are written, the
# five and the proofs are deleted.
WRITES = 15
OPERATIONS = ("copy_to_archive", "create", "delete")
numbers = itertools.count()


@asynccontextmanager
async def another(environment: dict[str, str], number: int) -> AsyncIterator[App]:
    """Build the app with other containers."""
    names = ("STAGING_CONTAINER", "ARCHIVE_CONTAINER", "QUARANTINE_CONTAINER")
    app = await open_app(read_settings(environment | {name: f"{environment[name]}-{number}" for name in names}))
    try:
        yield app
    finally:
        await close(app)


async def archived(app: App) -> dict[str, Any]:
    """List the archive: {name: SHA-256}, the manifest without the moment of each proof."""
    found: dict[str, Any] = dict(await listing(app.settings, "archive"))
    for name in found:
        if "/recording" in name:
            text = json.loads(await app.clients.blobs.read("archive", name) or b"{}")
            found[name] = text | {
                "chunks": [chunk | {"provedAt": None, "copyProvedAt": None} for chunk in text["chunks"]]
            }
    return found


async def assert_kills_do_no_harm(
    environment: dict[str, str], control: Control, positions: Iterable[int]
) -> dict[int, str]:
    """Whichever of these writes a run dies at, the next run makes the very archive that an undisturbed one makes.

    Returns the operation that the run died at, by position; a run with fewer writes isn't killed.
    """
    recording, now = await control.recording(1000, 2000), datetime.now(UTC)
    event = json.dumps(file_event(recording))
    wanted: dict[str, Any] = {}
    last: dict[int, str] = {}

    for after in (0, *positions):
        async with another(environment, next(numbers)) as app:
            for job in await receive(app, event, now=now):
                await app.ingest.run(job)
            if after:
                dying = FaultyBlobs(app.settings, kill_after=after)
                for operation in OPERATIONS:
                    dying.on(operation, before=partial(_note, last, after, operation))
                if after <= WRITES:
                    with pytest.raises(BaseExceptionGroup):
                        await run_timer(with_blobs(app, dying), now=now)
                else:
                    await run_timer(with_blobs(app, dying), now=now)
                await dying.aclose()
            await sweep(app, now=now)
            wanted = wanted or await archived(app)

            assert (after, wanted) == (after, await archived(app))
            assert (after, {}) == (after, await listing(app.settings, "staging"))
    return last


async def _note(last: dict[int, str], after: int, operation: str) -> None:
    last[after] = operation


async def assert_kills_in_turn_do_no_harm(
    environment: dict[str, str], control: Control, is_there: list[bool], kills: list[int]
) -> None:
    """Whatever is staged or lost, any prefix of a run's writes after any other, and one run more: the same archive."""
    recording, now = await control.recording(*(1000 for _ in is_there)), datetime.now(UTC) + 49 * 60 * MINUTE
    event = json.dumps(file_event(recording))
    ends = []

    for prefixes in ([], kills):
        async with another(environment, next(numbers)) as app:
            for job, there in zip(await receive(app, event, now=now - 49 * 60 * MINUTE), is_there, strict=True):
                if there:
                    await app.ingest.run(job)
                else:
                    await give_up(app, job, now=now)
            for after in prefixes:
                dying = FaultyBlobs(app.settings, kill_after=after)
                # One that has more writes to its name than there are to do isn't killed.
                with contextlib.suppress(BaseExceptionGroup):
                    await run_timer(with_blobs(app, dying), now=now)
                await dying.aclose()
            await sweep(app, now=now)
            ends.append((await archived(app), await listing(app.settings, "staging")))

    assert ends[0] == ends[1]
    assert {} == ends[0][1]


# A recording with some chunks, and the writes at which one run after the other is killed.
KILLS_IN_TURN: dict[str, st.SearchStrategy[Any]] = {
    "is_there": st.lists(st.booleans(), min_size=1, max_size=3),
    "kills": st.lists(st.integers(1, 2 * WRITES), min_size=1, max_size=4),
}
