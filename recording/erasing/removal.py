"""Removes everything of a recording, in an order in which a kill leaves nothing that the next try doesn't find."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError

from recording.acs.content import Content
from recording.erasing.scope import (
    DEAD_LETTERS,
    QUARANTINED,
    Derived,
    kind_in_archive,
    kind_in_derived,
    kind_in_staging,
)
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
TRAIL = "facts of the trail"
_SOURCE_SECONDS = 30.0


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
        await self._erase_derived(scope)
        await self.index.delete(scope.rows)
        left = await self._delete_sources(scope, now)
        left += await self._empty("staging", _staged(scope))
        # The manifests first: what has none is in no list.
        folder = f"{layout.archive_folder(scope.recording_key)}/"
        left += await self._empty("archive", [f"{folder}recording"])
        left += await self._empty("archive", [folder])
        left += await self._empty("archive", await self._facts(scope))
        for recording_id in scope.recording_ids:
            # The marker first, which would bring the row back.
            await self.places.empty("staging", [layout.pending_live_blob(recording_id)])
            await self.index.forget_live(recording_id)
            digest = layout.recording_digest(recording_id)
            left += await self._empty("staging", [f"{layout.PENDING}/"], wanted=_having(digest))
            left += await self._empty("staging", [layout.pause_blob(recording_id)])
        left += await self._empty("archive", [layout.ending_blob(one) for one in scope.recording_ids])
        await self._keep_events_of_others(scope)
        for where, names in _events(scope):
            left += await self._empty(where, names, wanted=frozenset(names).__contains__)
        # What was made of the recording in between.
        await self._erase_derived(scope)
        left += _left("archive", await self.trail.run(scope, erasure))
        # What was made while the manifest was there; what is made later finds none, and erases itself.
        await self._erase_derived(scope)
        return left

    async def remaining(self, scope: ErasureScope) -> list[Left]:
        """List what there is under the places of a recording, with versions and deleted blobs."""
        folder = f"{layout.archive_folder(scope.recording_key)}/"
        facts = [*await self._facts(scope), *(layout.ending_blob(one) for one in scope.recording_ids)]
        pauses = map(layout.pause_blob, scope.recording_ids)
        found = _left("staging", await self.places.remaining("staging", [*_staged(scope), *pauses]))
        for digest in map(layout.recording_digest, scope.recording_ids):
            markers = await self.places.remaining("staging", [f"{layout.PENDING}/"], wanted=_having(digest))
            found += _left("staging", markers)
        found += _left("archive", await self.places.remaining("archive", [folder, *facts]))
        found += _left("archive", await self.trail.remaining(layout.key_digest(scope.recording_key)))
        if self.blobs.keeps_derived:
            found += _left("derived", await self.places.remaining("derived", scope.derived))
        for where, names in _events(scope):
            exactly = frozenset(names).__contains__
            found += _left(where, await self.places.remaining(where, names, wanted=exactly))
        return found

    async def _erase_derived(self, scope: ErasureScope) -> None:
        for made in self.derived:
            await made.erase(scope.recording_key)

    async def _keep_events_of_others(self, scope: ErasureScope) -> None:
        """Write the events of others again that lie in a dead letter beside one of this recording.

        They may be the only trace of another recording. A kill behind this writes the same blob again.
        """
        for name in scope.dead_letters:
            others = events_of_others(await self.blobs.read("dead_letter", name) or b"", scope.texts)
            if others is not None:
                folder, _, last = name.rpartition("/")
                digest = hashlib.sha256(others).hexdigest()[:16]
                await self.blobs.create("dead_letter", f"{folder}/{digest}-{last}", others)

    async def _facts(self, scope: ErasureScope) -> list[str]:
        """Name the facts beside the recording's own folder, without endings, which name the markers of stops."""
        named = [layout.started_blob(one) for one in scope.recording_ids]
        named += [layout.assigned_ending_blob(scope.recording_key), *scope.exports]
        named += [layout.holds_folder(scope.recording_key), layout.retention_folder(scope.recording_key)]
        if not await self.index.has_others(scope.call_id, scope.recording_key):
            named += [layout.call_blob(one) for one in scope.server_call_ids]
        return named

    async def _empty(
        self, where: Container, prefixes: Sequence[str], *, wanted: Callable[[str], bool] = lambda name: True
    ) -> list[Left]:
        done = await self.places.empty(where, prefixes, wanted=wanted)
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


def _staged(scope: ErasureScope) -> list[str]:
    """Return the folders of a recording in staging: its own, and that of what the platform is still to be asked."""
    return [f"{scope.recording_key}/", f"{layout.PENDING_KEEPING}/{scope.recording_key}/"]


def _having(text: str) -> Callable[[str], bool]:
    return lambda name: text in name


def events_of_others(text: bytes, ids: Iterable[str]) -> bytes | None:
    """Return the events in a dead letter that have none of the ids; None if there are none, or it is no JSON list."""
    try:
        events = json.loads(text)
    except ValueError:
        return None
    if not isinstance(events, list):
        return None
    named = [one.encode() for one in ids]
    texts = [(event, json.dumps(event, ensure_ascii=False).encode()) for event in events]
    others = [event for event, said in texts if not any(one in said for one in named)]
    return json.dumps(others, ensure_ascii=False).encode() if others else None


def _events(scope: ErasureScope) -> list[tuple[Container, Sequence[str]]]:
    """Return where events lie that could not be parsed or delivered, and which of them are of the recording."""
    return [("quarantine", scope.quarantined), ("dead_letter", scope.dead_letters)]


def _left(where: Container, remaining: Sequence[Remaining]) -> list[Left]:
    return [
        Left(
            place="dead-letter" if where == "dead_letter" else where,
            kind=_kind(where, one.name),
            digest=hashlib.sha256(one.name.encode()).hexdigest(),
            count=one.count,
            why=one.why,
            until=one.until,
        )
        for one in remaining
    ]


def _kind(where: Container, name: str) -> str:
    match where:
        case "staging":
            return kind_in_staging(name)
        case "archive":
            return TRAIL if name.startswith(f"{layout.TRAIL}/") else kind_in_archive(name)
        case "derived":
            return kind_in_derived(name)
        case "quarantine":
            return QUARANTINED
        case "dead_letter":
            return DEAD_LETTERS
