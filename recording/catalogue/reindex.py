"""Use case: make the search index again from the manifests, and compare a sample of it with them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recording.clock import Clock, utc_now
from recording.errors import ManifestUnreadable
from recording.model import layout
from recording.model.erasure import ErasureSummary
from recording.model.keeping import NOTHING, Kept
from recording.model.manifest import Manifest
from recording.storage.endings import Endings
from recording.storage.erasures import ErasureStore
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.storage.tombstones import Tombstones
from recording.storage.trail import Trail
from recording.telemetry import log
from recording.workers import run_each

# Recordings whose rows are written together: what a kill repeats, and what is held in memory.
_AT_ONCE = 500
_READS = 16
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Progress:
    """How far a run has come: recordings whose rows it has written, those it couldn't read, and the last one's key."""

    written: int
    unreadable: int
    last_key: str


@dataclass(frozen=True)
class Reindex:
    """Writes the rows of archived recordings again; what is there and right stays as it is."""

    recordings: RecordingStore
    starts: StartClaims
    endings: Endings
    trail: Trail
    index: Index
    keeping: KeepingStore
    tombstones: Tombstones
    erasures: ErasureStore
    clock: Clock = utc_now

    async def interrupted(self, since: datetime | None, until: datetime | None) -> str | None:
        """Return the last key that an interrupted run over the same time has written; None if there is none."""
        return await self.index.marked(layout.run_name(since, until))

    async def run(self, since: datetime | None, until: datetime | None) -> AsyncIterator[Progress]:
        """Write the rows of recordings that started in [since, until), oldest first, and yield after each batch.

        A run that was interrupted is continued after the last batch that it finished. One blob is read for each
        recording, and its metadata files where an older version wrote the manifest. Where the key of the digests was
        lost, a run over all times removes the rows of the old one first, and begins again. Raises azure-core's errors.
        """
        name = layout.run_name(since, until)
        is_whole = since is None and until is None
        if is_whole and await self.index.has_other_key():
            log.warning("index.other_key", next="rows that were made with the old key are replaced")
            await self.index.unmark(name)
            await self.index.forget_digests()
        done = await self.index.marked(name)
        written = unreadable = 0
        batch: list[tuple[str, int]] = []

        async def write() -> Progress:
            nonlocal written, unreadable
            read = [one for one in await self._read(batch) if one]
            kept = await self.keeping.of_days(one.recording_key for one in read)
            await self.index.write_all(read, kept)
            await self._look_again({key: revision for key, revision in batch}, read, kept)
            await self.index.mark(name, batch[-1][0])
            written, unreadable = written + len(read), unreadable + len(batch) - len(read)
            return Progress(written, unreadable, batch[-1][0])

        erased = await self.tombstones.all()
        async for key, revision in self.recordings.manifests(since, until, after=done):
            if layout.key_digest(key) in erased:
                # Somebody has restored its blobs, or they are being removed.
                log.warning("recording.erased", recordingKey=key, next="it gets no rows")
                continue
            batch.append((key, revision))
            if len(batch) == _AT_ONCE:
                yield await write()
                batch.clear()
        if batch:
            yield await write()
        if until is None:
            await self._write_live()
            await self._write_erasures()
        if is_whole:
            await self.index.note_key()
        await self.index.unmark(name)

    async def _look_again(
        self, listed: Mapping[str, int], written: Sequence[Manifest], kept: Mapping[str, Kept]
    ) -> None:
        """Correct the rows of recordings that others have changed since they were listed: a row never goes back.

        Whoever changes a recording writes its fact before its rows. So either these lists have the fact, or its rows
        are written after those of this run.
        """
        while written:
            erased = await self.tombstones.all()
            revisions: dict[str, int] = {}
            for day in dict.fromkeys(layout.day(one.recording_key) for one in written):
                revisions |= await self.recordings.manifests_of(day)
            keeps = await self.keeping.of_days(one.recording_key for one in written)
            changed: dict[str, Manifest] = {}
            for one in written:
                key = one.recording_key
                if layout.key_digest(key) in erased:
                    await self.index.forget(one, kept.get(key, NOTHING))
                elif revisions.get(key, listed[key]) != listed[key] or keeps.get(key) != kept.get(key):
                    changed[key] = one
            listed = {key: revisions.get(key, listed[key]) for key in changed}
            written = [one for one in await self._read([*listed.items()]) if one]
            for one in written:
                key = one.recording_key
                before = (changed[key], kept.get(key, NOTHING))
                await self.index.replace(before, (one, keeps.get(key, NOTHING)))
            kept = keeps

    async def compare(self, since: datetime | None, until: datetime | None) -> AsyncIterator[dict[str, list[str]]]:
        """Compare all rows of recordings that started in [since, until) with their manifests, and yield by the batch.

        {recording key: kinds of partitions whose row differs}, also without any. Over all times, at last those of rows
        that nothing has: of no recording, neither in the archive nor in staging, or in a partition where its manifest
        and what keeps it have none. Raises azure-core's errors.
        """
        batch: list[tuple[str, int]] = []
        known: set[str] = set()
        compared: set[str] = set()
        # Hashes of where they have a row: there are several for each recording of the archive.
        expected: set[int] = set()

        async def compare() -> dict[str, list[str]]:
            found = await self._compare(batch, expected)
            compared.update(found)
            return found

        erased = await self.tombstones.all()
        async for key, revision in self.recordings.manifests(since, until):
            if layout.key_digest(key) in erased:
                continue
            known.add(key)
            batch.append((key, revision))
            if len(batch) == _AT_ONCE:
                yield await compare()
                batch.clear()
        yield await compare()
        if since is None and until is None:
            in_flight = await self.recordings.in_flight()
            stray: dict[str, list[str]] = {}
            async for key, partition in self.index.recording_keys():
                # What is in flight may have rows of its present state, also beside those of a manifest.
                if key not in in_flight and (
                    hash((key, partition)) not in expected if key in compared else key not in known
                ):
                    stray.setdefault(key, []).append(partition.partition(":")[0])
            yield {key: sorted(kinds) for key, kinds in stray.items()}

    async def _compare(self, batch: list[tuple[str, int]], expected: set[int]) -> dict[str, list[str]]:
        """Compare the rows of a batch, and add to `expected` where it has any."""
        found: dict[str, list[str]] = {}
        kept = await self.keeping.of_days(key for key, _ in batch)

        async def compare(written: Manifest) -> None:
            key = written.recording_key
            keeps = kept.get(key, NOTHING)
            found[key] = await self.index.differences(written, keeps)
            expected.update(hash((key, partition)) for partition in await self.index.partitions(written, keeps))

        await run_each(compare, [one for one in await self._read(batch) if one], at_once=_READS)
        return found

    async def differences(self, *, most: int = 20) -> dict[str, list[str]]:
        """Compare the newest archived recordings with their rows: {recording key: partitions whose row differs}."""
        found: dict[str, list[str]] = {}
        erased = await self.tombstones.all()
        async for day in self.recordings.archived_days():
            for key, revision in sorted((await self.recordings.manifests_of(day)).items(), reverse=True):
                if layout.key_digest(key) in erased:
                    continue
                [written] = await self._read([(key, revision)])
                if written:
                    found[key] = await self.index.differences(written, await self.keeping.find(key))
                if len(found) == most:
                    return found
        return found

    async def _read(self, batch: list[tuple[str, int]]) -> list[Manifest | None]:
        found: dict[str, Manifest] = {}

        async def read(one: tuple[str, int]) -> None:
            key, revision = one
            try:
                written = await self.recordings.manifest(key, revision)
            except ManifestUnreadable:
                log.error("recording.unreadable", recordingKey=key, next="it has no rows; inspect its manifest")
                return
            if written:
                found[key] = await self._with_start(written, await self.recordings.described(written))

        await run_each(read, batch, at_once=_READS)
        return [found.get(key) for key, _ in batch]

    async def _with_start(self, written: Manifest, described: Manifest) -> Manifest:
        """Add conversation and reference to what an older version wrote without them."""
        if described is written or (started := await self.starts.find(written.recording_id)) is None:
            return described
        return described.with_start(started)

    async def _write_erasures(self) -> None:
        """Write the rows of erasures, which have no time: whoever asks for the newest recordings gets them all."""
        token = None
        while True:
            ids, token = await self.erasures.ids(limit=_AT_ONCE, token=token)
            for erasure in ids:
                found = await self.erasures.steps(erasure)
                if found.asked:
                    summary = ErasureSummary.of(found.asked, found.certificate, found.decided, found.checked)
                    await self.index.write_erasure(summary)
            if token is None:
                return

    async def _write_live(self) -> None:
        """Write the rows of recordings that were started lately and have not ended, as far as anybody knows."""
        now = self.clock().astimezone(UTC)
        for recording_id in await self.trail.starts_on([now - _DAY, now]):
            started = await self.starts.find(recording_id)
            if started and await self.endings.find(recording_id) is None:
                await self.index.write_live(started)
