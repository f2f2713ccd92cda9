"""Use case: rows of the search index and the platform follow what the facts say about holds and retention."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from random import SystemRandom

from azure.core.exceptions import AzureError

from recording.errors import ManifestUnreadable, Misconfigured, describe
from recording.model import layout, manifest
from recording.model.keeping import Kept, has_ended
from recording.model.manifest import Manifest
from recording.model.stored import StoredBlob
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore, NotProtected, by_key, log_not_protected
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.storage.tombstones import Tombstones
from recording.telemetry import log
from recording.workers import run_each

# Beside a request, whose caller waits; the timer does the rest.
_BESIDE_SECONDS = 10.0
# Of one run of the timer, and how many of them at once.
_MOST, _AT_ONCE, _RUN_SECONDS = 200, 8, 30.0


@dataclass(frozen=True)
class Follow:
    """Brings rows and platform in line with the facts; a marker in staging says that this is still to be done."""

    recordings: RecordingStore
    starts: StartClaims
    index: Index
    keeping: KeepingStore
    tombstones: Tombstones
    beside_seconds: float = _BESIDE_SECONDS

    async def find(self, key: str) -> Manifest | None:
        """Find a recording in the archive, or else among those in flight.

        Raises azure-core's errors, or ManifestUnreadable.
        """
        written = await self.recordings.newest_manifest(key)
        if written is not None:
            return await self._as_indexed(written)
        recording = await self.recordings.load(key)
        if not recording.events:
            return None
        return manifest.write_manifest(
            recording, archived_at=None, started=await self.starts.find(recording.recording_id)
        )

    async def is_buried(self, key: str) -> bool:
        """Return whether a tombstone is found by a recording key; raises azure-core's errors."""
        return await self.tombstones.read(layout.key_digest(key)) is not None

    async def has_ended(self, key: str, now: datetime) -> bool:
        """Return whether the time of a recording is over, whoever holds it; raises azure-core's errors."""
        found, kept = await self.find(key), await self.keeping.find(key)
        return found is None or has_ended(replace(kept, holds=()), found.archived_at, now)

    async def now(self, key: str, markers: Iterable[str]) -> bool:
        """Follow a change for some seconds, and remove its markers; what is left, the timer does.

        Return whether it is done. Raises nothing.
        """
        try:
            async with asyncio.timeout(self.beside_seconds):
                await self._follow(key)
                await self.keeping.unmark(*markers)
        except NotProtected as failed:
            log_not_protected(key, failed)
        except (AzureError, ManifestUnreadable, Misconfigured, TimeoutError) as failed:
            log.warning("keeping.not_followed", recordingKey=key, reason=describe(failed), next="the timer tries again")
        else:
            return True
        return False

    async def catch_up(self, markers: Iterable[StoredBlob]) -> int:
        """Follow what is still to be done, for the timer; return how many recordings are left. Raises nothing.

        `markers` are those that staging has.
        """
        pending = by_key(markers)
        # Any of them: those that the platform refuses again and again must not keep others from their turn.
        some = SystemRandom().sample([*pending.items()], min(_MOST, len(pending)))
        done: list[str] = []

        async def follow(one: tuple[str, list[str]]) -> None:
            if await self.now(*one):
                done.append(one[0])

        try:
            async with asyncio.timeout(_RUN_SECONDS):
                await run_each(follow, some, at_once=_AT_ONCE)
        except TimeoutError:
            log.warning("keeping.not_in_time", left=len(pending) - len(done), next="the next run continues")
        except Exception:
            log.exception("keeping.not_in_time", next="the next run tries again")
        return len(pending) - len(done)

    async def _follow(self, key: str) -> None:
        """Follow the facts until they are the same afterwards: of two changes at once one may have read older ones."""
        kept = await self.keeping.find(key)
        while True:
            await self._follow_once(key, kept)
            before, kept = kept, await self.keeping.find(key)
            if kept == before:
                return

    async def _follow_once(self, key: str, kept: Kept) -> None:
        found = await self.find(key)
        if not kept.holds:
            await self.index.forget_hold(key)
        if found is None:
            return
        if found.archived_at is None:
            await self.index.write_in_flight([found], {key: kept})
            return
        await self.index.write(found, kept)
        # After it: an erasure writes its tombstone before it deletes rows, so one of the two sees the other.
        if await self.is_buried(key):
            await self.index.forget(found, kept)
            return
        await self.keeping.protect(key, hold=bool(kept.holds), until=kept.until(found.archived_at))

    async def _as_indexed(self, written: Manifest) -> Manifest:
        """Add to what an older version wrote the members that rows show."""
        described = await self.recordings.described(written)
        if described is written or (started := await self.starts.find(written.recording_id)) is None:
            return described
        return described.with_start(started)
