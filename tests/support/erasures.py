"""Erasures, as a test asks for them and has them done."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from recording.app import App, assemble
from recording.erasing.requests import EraseRecording, ErasureAccepted
from recording.model import layout
from recording.model.caller import Caller
from recording.model.erasure import ErasureAsked
from recording.model.job import ErasureJob
from recording.model.roles import Principal
from tests.support.facts import listing, run_timer
from tests.support.faults import FaultyBlobs


class KilledBlobs(FaultyBlobs):
    """One whose process is also killed at the deletions of an erasure."""

    async def delete_wholly(self, *arguments: Any) -> Any:
        """Delete, or be killed."""
        return await self._call("delete", arguments, super().delete_wholly)


ALAN = Caller(
    "Alan Turing",
    principal=Principal("person", "oid-alan", "Alan Turing", frozenset({"Recordings.Erase"})),
    address="203.0.113.7",
)
BODY = EraseRecording(reason="objection", text="Mr Smith has asked for it by mail")
DAY, SETTLED = timedelta(days=1, minutes=1), timedelta(days=1, hours=3)


def later(app: App, after: timedelta) -> App:
    """Wire the app at a later time."""
    return assemble(app.settings, app.clients, clock=lambda: datetime.now(UTC) + after)


async def ask(app: App, key: str, *, after: timedelta = timedelta()) -> ErasureAccepted:
    """Ask for the erasure of a recording."""
    return await later(app, after).erasure.ask(ALAN, key, BODY)


async def open_of(app: App, key: str) -> ErasureAsked | None:
    """Return what was asked for a recording and is not done yet."""
    steps = await app.erasure.store.steps(layout.key_digest(key))
    return steps.asked if steps.is_open or (steps.has_begun and not steps.certificate) else None


async def queued(app: App) -> list[str]:
    """Remove the messages of the queue that erases, and return the recordings that they name."""
    found = []
    async for message in app.clients.erasure_queue.receive(limit=32, hidden_seconds=30):
        found.append(ErasureJob.from_message(message.text).recording_key)
        await app.clients.erasure_queue.delete(message)
    return found


async def do(app: App, after: timedelta = DAY, *, with_app: Callable[[App], App] = lambda app: app) -> list[str]:
    """Let the timer queue what is due then, and do the jobs; return their recordings."""
    await run_timer(app, now=datetime.now(UTC) + after, archives_all=False)
    # The queue is one for all tests.
    keys = [key for key in await queued(app) if await open_of(app, key) or await app.erasure.store.has_begun(key)]
    for key in keys:
        await with_app(later(app, after)).erase.run(key)
    return keys


async def erase(app: App, key: str) -> str:
    """Erase a recording to the end; return the id of the erasure."""
    accepted = await ask(app, key)
    assert await do(app) == [key]
    assert await do(app, SETTLED) == [key]
    return accepted.erasure_id


async def left(app: App) -> set[str]:
    """List what there is, without the records of erasures and the trail."""
    archive, staging = await listing(app.settings, "archive"), await listing(app.settings, "staging")
    own = (layout.TOMBSTONES, layout.ERASED, layout.TRAIL)
    return {name for name in (*archive, *staging) if name.partition("/")[0] not in own}
