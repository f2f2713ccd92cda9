"""The tombstones of erased recordings, in the archive: one small blob for each digest by which one is found.

    tombstones/{sha256}.json    of the recording key, the recording id, each document id

They are written before anything is removed. Each lookup is a read of a blob that is usually not there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import describe
from recording.model import layout
from recording.model.tombstone import Match, Named, Tombstone
from recording.storage.blobs import Blobs
from recording.telemetry import log
from recording.workers import run_each

_REQUESTS = 16
# Where a lookup is beside the work: an archive that is down must not keep chunks from staging. What is accepted
# meanwhile is found by the next place that looks.
_LOOK_SECONDS = 1.0
# After so many in a row that had no answer in this time: one that hangs says nothing about the archive.
_SILENCES, _SILENT_SECONDS = 3, 30.0
_UNKNOWN = datetime.min.replace(tzinfo=UTC)


class Tombstones:
    """Writes and finds tombstones."""

    def __init__(self, blobs: Blobs, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._blobs = blobs
        self._look_seconds = look_seconds
        self._silent_until = 0.0
        self._silences = 0

    async def write(self, stone: Tombstone) -> None:
        """Write a tombstone under each of its digests, at last under that of its key: what is there stays.

        Raises azure-core's errors.
        """
        plain = stone.without_digests().to_bytes()

        async def write(digest: str) -> None:
            await self._blobs.create("archive", layout.tombstone_blob(digest), plain)

        await run_each(write, dict.fromkeys((*stone.recordings, *stone.documents)), at_once=_REQUESTS)
        await self._blobs.create("archive", layout.tombstone_blob(stone.erasure), stone.to_bytes())

    async def add(self, found: Tombstone, key: str) -> None:
        """Find it by another key, too: that of an event about the same documents. Raises azure-core's errors."""
        name = layout.tombstone_blob(layout.key_digest(key))
        await self._blobs.create("archive", name, found.without_digests().to_bytes())

    async def read(self, digest: str) -> Tombstone | None:
        """Return the tombstone under a digest; None if there is none. Raises azure-core's errors."""
        text = await self._blobs.read("archive", layout.tombstone_blob(digest))
        if text is None:
            return None
        try:
            return Tombstone.model_validate_json(text)
        except ValidationError:
            # It is there, and so something was erased: that is what counts.
            log.error("tombstone.unreadable", digest=digest, next="what it names stays erased; inspect the blob")
            return Tombstone(erasure=digest, at=_UNKNOWN, reason="not-needed")

    async def find(self, named: Named) -> Match:
        """Return what was erased of a recording; all digests are looked up at once. Raises azure-core's errors."""
        found: dict[str, Tombstone] = {}

        async def look(digest: str) -> None:
            if stone := await self.read(digest):
                found[digest] = stone

        await run_each(look, named.digests, at_once=_REQUESTS)
        return named.match(found)

    async def find_if_possible(self, named: Named, *, recording_key: str) -> Match:
        """Return what `find` does; nothing as well while the archive doesn't answer within a second.

        An archive that was silent three times in a row is not asked again for half a minute.
        """
        return await self._look(lambda: self.find(named), recording_key) or Match()

    async def has_document(self, document_id: str, *, recording_key: str) -> bool:
        """Return whether a document was erased, as far as the archive answers."""
        digest = layout.document_digest(document_id)
        return await self._look(lambda: self.read(digest), recording_key) is not None

    async def all(self) -> frozenset[str]:
        """List the digests of all that was erased, for who looks at the whole archive. Raises azure-core's errors."""
        prefix = f"{layout.TOMBSTONES}/"
        names = [blob.name async for blob in self._blobs.list_blobs("archive", prefix)]
        return frozenset(name.removeprefix(prefix).removesuffix(".json") for name in names)

    async def _look[Found](self, look: Callable[[], Awaitable[Found]], recording_key: str) -> Found | None:
        if time.monotonic() < self._silent_until:
            return None
        try:
            async with asyncio.timeout(self._look_seconds):
                found = await look()
            self._silences = 0
            return found
        except TimeoutError:
            self._silences += 1
            if self._silences >= _SILENCES:
                self._silent_until, self._silences = time.monotonic() + _SILENT_SECONDS, 0
            reason = "TimeoutError"
        except AzureError as failed:
            reason = describe(failed)
        log.warning("tombstone.not_read", recordingKey=recording_key, reason=reason, next="the archive job looks again")
        return None
