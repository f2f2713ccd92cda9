"""The trail of an erased recording: who had access stays provable, and nothing in it names the recording."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched

from recording.model import index, layout
from recording.model.erasure import ErasureScope
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.storage.index import Index
from recording.storage.places import Places, Remaining
from recording.storage.trail import ONE_VIEW, Trail

_NEVER = datetime.min.replace(tzinfo=UTC)
_PAGE = 200
_FACTS = 500
# A recording is started before it begins, and a substitute for its time may be somewhat late.
_BEFORE = timedelta(days=2)
# What the name of a fact that was written again has behind that of the first one: no digit of a random number.
_AGAIN = "n"


@dataclass(frozen=True)
class TrailEraser:
    """Writes each fact of a recording's trail again, without what names the recording, and removes the first one.

    The facts are found by the rows of the index, which the timer completes within two hours. Where the index doesn't
    say that it has all rows of that time, such as after a loss of its table, the facts of these days are read first.
    """

    blobs: Blobs
    places: Places
    index: Index
    trail: Trail

    async def run(self, scope: ErasureScope, erasure: str) -> list[Remaining]:
        """Do it for all facts that name the recording; return what is left of them. Raises azure-core's errors."""
        named = (scope.recording_key, *map(layout.recording_digest, scope.recording_ids))
        await self._complete_rows(scope.recording_key, {index.trail(one) for one in (*named, erasure)})
        for recording in named:
            while rows := await self.index.trail(recording, after="", limit=_PAGE):
                for row, entry in rows:
                    await self._write_again(row, entry, erasure)
                    await self.index.delete([(index.trail(recording), row)])
        # By what was written again: a try that was killed, or refused, is repeated.
        left: list[Remaining] = []
        async for first in self._first(erasure):
            left += (await self.places.empty("archive", first)).remaining
        return left

    async def remaining(self, erasure: str) -> list[Remaining]:
        """List what is there of the first facts, with versions and what is soft-deleted; raises azure-core's errors."""
        return [one async for first in self._first(erasure) for one in await self.places.remaining("archive", first)]

    async def _first(self, erasure: str) -> AsyncIterator[list[str]]:
        """Name the first facts of those that were written again, some at a time."""
        after = ""
        while rows := await self.index.trail(erasure, after=after, limit=_PAGE):
            yield [name for row, entry in rows if row.endswith(_AGAIN) for name in _names(row, entry)]
            after = rows[-1][0]

    async def _complete_rows(self, key: str, partitions: set[str]) -> None:
        """Write the rows of these partitions from the facts of the days for which the index may lack some."""
        since = await self.index.marked(index.TRAIL_SINCE)
        hour = None if since is None else layout.trail_hour(since)
        # The mark is at the end of its hour: of the first hour of a day that day is read, too.
        until = hour and hour + timedelta(hours=1)
        for day in await self.trail.days(layout.recording_start(key) - _BEFORE, until):
            for names in batched(await self.trail.names(layout.trail_folder(day)), _FACTS, strict=False):
                read = await self.trail.read(names)
                await self.index.write_trail(
                    (name, entry)
                    for name, entry in read
                    if (place := index.trail_row(name, entry)) and place[0] in partitions
                )

    async def _write_again(self, row: str, entry: TrailEntry, erasure: str) -> None:
        distinct = f"{row.rpartition('-')[2]}{_AGAIN}"
        name, nameless = layout.trail_blob(entry.at, entry.action, distinct), without_names(entry, erasure)
        text = nameless.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self.blobs.create("archive", name, text)
        await self.index.write_trail([(name, nameless)])


def without_names(entry: TrailEntry, erasure: str) -> TrailEntry:
    """Return an entry with what was done, when, by which object id and with which outcome, and the erasure's id."""
    return TrailEntry(
        at=entry.at,
        action=entry.action,
        kind=entry.kind,
        object_id=entry.object_id,
        roles=entry.roles,
        indexes=entry.indexes,
        outcome=entry.outcome,
        status=entry.status,
        erasure=erasure,
    )


def _names(row: str, entry: TrailEntry) -> tuple[str, ...]:
    """Return the names that the first fact of a row may have: that of a look has the beginning of its quarter."""
    distinct = row.partition("-")[2].removesuffix(_AGAIN)
    action, _, last = distinct.rpartition("-")
    quarter = entry.at - (entry.at - _NEVER) % ONE_VIEW
    return tuple(
        dict.fromkeys(
            f"{layout.trail_folder(at)}{at.astimezone(UTC):%H%M%S%f}-{action}-{last}.json" for at in (entry.at, quarter)
        )
    )
