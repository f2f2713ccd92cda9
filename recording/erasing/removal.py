"""Removes everything of a recording, in an order in which a kill leaves nothing that the next try doesn't find."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError

from recording.acs.content import Content
from recording.erasing.scope import kind_in_archive, kind_in_staging
from recording.erasing.trail import TrailEraser
from recording.errors import ChunkError, describe
from recording.model import layout
from recording.model.erasure import ErasureScope, Left, Source
from recording.model.stored import Container
from recording.storage.blobs import Blobs
from recording.storage.index import Index
from recording.storage.places import Places, Remaining
from recording.telemetry import log
from recording.workers import run_each

_AT_ONCE = 8
_SOURCE_SECONDS = 30.0
# Where events lie that could not be parsed or delivered: days of them, and few.
_TEXTS: tuple[Container, ...] = ("quarantine", "dead_letter")

# Erases what other parts of the app have made of a recording; returns how many files.
type Derived = Callable[[str], Awaitable[object]]


@dataclass(frozen=True)
class Removal:
    """Removes what a scope names; `derived` are erased first: they are made of what comes after them."""

    blobs: Blobs
    places: Places
    index: Index
    content: Content
    trail: TrailEraser
    derived: Sequence[Derived] = ()

    async def run(self, scope: ErasureScope, erasure: str, now: datetime) -> list[Left]:
        """Remove everything; return what is left, with its reasons. Raises azure-core's errors: then it is repeated."""
        for erase in self.derived:
            await erase(scope.recording_key)
        await self.index.delete(scope.rows)
        left = await self._delete_sources(scope, now)
        waiting = f"{layout.PENDING_KEEPING}/{scope.recording_key}/"
        left += await self._empty("staging", [f"{scope.recording_key}/", waiting])
        # The manifests first: what has none is in no list.
        folder = f"{layout.archive_folder(scope.recording_key)}/"
        left += await self._empty("archive", [f"{folder}recording"])
        left += await self._empty("archive", [folder])
        left += await self._empty("archive", await self._facts(scope))
        for recording_id in scope.recording_ids:
            await self.index.forget_live(recording_id)
            digest = layout.recording_digest(recording_id)
            await self.places.empty("staging", [f"{layout.PENDING}/"], wanted=_having(digest))
            await self.places.empty("staging", [layout.pause_blob(recording_id)])
        left += await self._empty("archive", [layout.ending_blob(one) for one in scope.recording_ids])
        for where in _TEXTS:
            left += await self._empty(where, await self._naming(where, scope))
        # What was made of the recording in between.
        for erase in self.derived:
            await erase(scope.recording_key)
        await self.trail.run(scope, erasure)
        for erase in self.derived:
            # What was made while the manifest was there; what is made later finds none, and erases itself.
            await erase(scope.recording_key)
        return left

    async def remaining(self, scope: ErasureScope) -> list[Left]:
        """List what there is under the places of a recording, with versions and deleted blobs."""
        folder = f"{layout.archive_folder(scope.recording_key)}/"
        facts = [*await self._facts(scope), *(layout.ending_blob(one) for one in scope.recording_ids)]
        found = _left("staging", await self.places.remaining("staging", [f"{scope.recording_key}/"]))
        return found + _left("archive", await self.places.remaining("archive", [folder, *facts]))

    async def _facts(self, scope: ErasureScope) -> list[str]:
        """Name the facts beside the recording's own folder, without endings, which name the markers of stops."""
        named = [layout.started_blob(one) for one in scope.recording_ids]
        named += [layout.assigned_ending_blob(scope.recording_key), *scope.exports]
        named += [layout.holds_folder(scope.recording_key), layout.retention_folder(scope.recording_key)]
        if not await self.index.has_others(scope.call_id, scope.recording_key):
            named += [layout.call_blob(one) for one in scope.server_call_ids]
        return named

    async def _naming(self, where: Container, scope: ErasureScope) -> list[str]:
        """Return the names of the events in a container whose text has an id of the recording."""
        wanted = [text.encode() for text in scope.texts]
        found: list[str] = []

        async def read(name: str) -> None:
            text = await self.blobs.read(where, name) or b""
            if any(one in text for one in wanted):
                found.append(name)

        names = [
            blob.name for blob in await self.blobs.everything(where, "") if blob.is_current and not blob.is_deleted
        ]
        replayed = layout.replayed_blob("")
        await run_each(read, [name for name in names if not name.startswith(replayed)], at_once=_AT_ONCE)
        return found

    async def _empty(self, where: Container, prefixes: Sequence[str]) -> list[Left]:
        done = await self.places.empty(where, prefixes)
        return _left(where, done.remaining)

    async def _delete_sources(self, scope: ErasureScope, now: datetime) -> list[Left]:
        """Delete at ACS what it still has; what it refuses it deletes itself when its time is over."""
        left: list[Left] = []

        async def delete(source: Source) -> None:
            why = "ACS has no way to delete it"
            try:
                if source.location:
                    async with asyncio.timeout(_SOURCE_SECONDS):
                        await self.content.delete(source.location, source.document_id)
                    return
            except (ChunkError, AzureError, TimeoutError) as failed:
                why = failed.error_code if isinstance(failed, ChunkError) else describe(failed)
            digest = layout.document_digest(source.document_id)
            left.append(Left(place="ACS", kind="source", digest=digest, why=why, until=source.until))
            log.warning(
                "source.not_erased",
                recordingKey=scope.recording_key,
                documentId=source.document_id,
                reason=why,
                next="ACS deletes it itself; the certificate says when",
            )

        await run_each(delete, [one for one in scope.sources if now < one.until], at_once=_AT_ONCE)
        return left


def _having(text: str) -> Callable[[str], bool]:
    return lambda name: text in name


def _left(where: Container, remaining: Sequence[Remaining]) -> list[Left]:
    kind = kind_in_staging if where == "staging" else kind_in_archive
    return [
        Left(
            place="dead-letter" if where == "dead_letter" else where,
            kind="events" if where in _TEXTS else kind(one.name),
            digest=hashlib.sha256(one.name.encode()).hexdigest(),
            count=one.count,
            why=one.why,
            until=one.until,
        )
        for one in remaining
    ]
