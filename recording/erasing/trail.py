"""The trail of an erased recording: who had access stays provable, and nothing in it names the recording."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from recording.model import index, layout
from recording.model.erasure import ErasureScope
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.storage.index import Index
from recording.storage.places import Places
from recording.storage.trail import ONE_VIEW

_NEVER = datetime.min.replace(tzinfo=UTC)
_PAGE = 200


@dataclass(frozen=True)
class TrailEraser:
    """Writes each fact of a recording's trail again, without what names the recording, and removes the first one.

    The facts are found by the rows of the index, which the timer completes within two hours.
    """

    blobs: Blobs
    places: Places
    index: Index

    async def run(self, scope: ErasureScope, erasure: str) -> int:
        """Do it for all facts that name the recording; return how many. Raises azure-core's errors."""
        done = 0
        digests = (layout.recording_digest(one) for one in scope.recording_ids)
        for recording in (scope.recording_key, *digests):
            while rows := await self.index.trail(recording, after="", limit=_PAGE):
                for row, entry in rows:
                    await self._one(recording, row, entry, erasure)
                done += len(rows)
        return done

    async def _one(self, recording: str, row: str, entry: TrailEntry, erasure: str) -> None:
        distinct = hashlib.sha256(f"{recording} {row}".encode()).hexdigest()[:16]
        name, nameless = layout.trail_blob(entry.at, entry.action, distinct), without_names(entry, erasure)
        text = nameless.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self.blobs.create("archive", name, text)
        await self.index.write_trail([(name, nameless)])
        for fact in _names(row, entry):
            await self.places.empty("archive", [fact])
        await self.index.delete([(index.trail(recording), row)])


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
    """Return the names that the fact of a row may have: that of a look has the beginning of its quarter."""
    distinct = row.partition("-")[2]
    action, _, last = distinct.rpartition("-")
    quarter = entry.at - (entry.at - _NEVER) % ONE_VIEW
    return tuple(
        dict.fromkeys(
            f"{layout.trail_folder(at)}{at.astimezone(UTC):%H%M%S%f}-{action}-{last}.json" for at in (entry.at, quarter)
        )
    )
