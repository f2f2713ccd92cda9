"""The only module with a client of Table Storage: the search index, in the host's account.

Its rows are derived (`model/index.py`), so a table that is out of reach costs no recording, and one that is lost is
made again from the manifests. It is created by the first write that doesn't find it.
"""

import asyncio
import contextlib
import hashlib
import re
import secrets
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient
from pydantic import ValidationError

from recording import urls
from recording.config import account
from recording.config.settings import Settings
from recording.errors import Misconfigured, describe
from recording.model import index, layout
from recording.model.erasure import ErasureSummary
from recording.model.events import FileStatusUpdated
from recording.model.index import Digests, RecordingSummary, Row, Search, TimerRan
from recording.model.keeping import NOTHING, Kept
from recording.model.live import Known, LiveRecording
from recording.model.manifest import Manifest
from recording.model.started import Started
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.telemetry import log
from recording.workers import run_each

# Quick: what waits for a row tries again by itself.
RETRIES: dict[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0.4, "connection_timeout": 5, "read_timeout": 20}
# Of one transaction; all of one partition.
_MOST_IN_BATCH = 100
# Of one answer of the service.
_MOST_IN_ANSWER = 1000
_REQUESTS = 16
# A page that a filter leaves empty, or nearly: then the service is asked again, and after that the cursor goes on.
_MOST_REQUESTS = 4
# Rows of recordings in flight that this process has written, and needn't compare again.
_REMEMBERED = 20_000
_BESIDE_SECONDS = 2.0
# After one that had no answer in this time.
_SILENT_SECONDS = 30.0
# The name of the mark that tells the key of the digests, and what an operator is told when there is another.
_KEY = "key"
_OTHER_KEY = "the rows of the search index were made with another key, so nothing would be found: reindex"
# The columns of a live recording's row that say what is known of its state.
_KNOWN = ("asked", "askedAt", "said", "saidAt")
_DAY = timedelta(days=1)
_NEVER = datetime.min.replace(tzinfo=UTC)

Entity = dict[str, Any]
# What to do with a row, the row, and the options of that: as a transaction takes it.
Change = tuple[str, Entity, dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """A part of what a search finds, newest first; `token` is where it goes on, None if this was the last."""

    summaries: list[RecordingSummary]
    token: Any = None


def table_name(archive_container: str) -> str:
    """Name the table of an archive: two apps that share the account, and not the archive, have one each."""
    digest = hashlib.sha256(archive_container.encode()).hexdigest()[:8]
    return f"index{re.sub('[^0-9a-z]', '', archive_container.lower())[:50]}{digest}"


class Index:
    """The rows of the search index; close it with `aclose`."""

    def __init__(
        self,
        settings: Settings,
        blobs: Blobs,
        credential: AsyncTokenCredential | None = None,
        *,
        retries: Mapping[str, Any] = RETRIES,
        beside_seconds: float = _BESIDE_SECONDS,
    ) -> None:
        self._blobs = blobs
        self._beside_seconds = beside_seconds
        self._silent_until = 0.0
        self._digests: Digests | None = None
        self._has_its_key = self._has_noted_key = False
        self._told: OrderedDict[tuple[str, str], str] = OrderedDict()
        name, place = table_name(settings.archive_container), settings.host_storage
        options = {**retries, "use_env_settings": urls.names_proxy()}
        self._client: TableClient | None = None
        if place.connection_string is not None:
            text = place.connection_string.get_secret_value()
            self._client = TableClient.from_connection_string(text, name, **options)
        elif address := account.service_url(place, "table"):
            self._client = TableClient(address, name, credential=credential, **options)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.close()

    async def write(self, manifest: Manifest, kept: Kept = NOTHING) -> None:
        """Write all rows of an archived recording, from its newest manifest; a repetition changes nothing.

        `kept` is what the facts say about holds and retention.

        The archive job calls it after the manifest and before it empties staging: as long as staging has the recording,
        another run tries again. Raises azure-core's errors, or Misconfigured, if a row could not be written.
        """
        await self.write_all([manifest], {manifest.recording_key: kept})

    async def write_all(self, manifests: Iterable[Manifest], kept: Mapping[str, Kept] | None = None) -> None:
        """Write all rows of archived recordings, those of one partition in batches; raises as `write` does."""
        digests = await self.digests()
        if not self._has_noted_key:
            # What another key has noted stays: its rows are there.
            await self._insert(self._key_entity(digests))
            self._has_noted_key = True
        by_partition: dict[str, list[Change]] = defaultdict(list)
        for manifest in manifests:
            keeps = (kept or {}).get(manifest.recording_key, NOTHING)
            rows = index.rows(manifest, digests, keeps)
            for row in rows:
                by_partition[row.partition].append(("upsert", _entity(row), {"mode": UpdateMode.REPLACE}))
            if until := keeps.until(manifest.archived_at):
                ending = {
                    "PartitionKey": index.ENDS,
                    "RowKey": index.ending(manifest.recording_key, until),
                    "recordingKey": manifest.recording_key,
                }
                by_partition[index.ENDS].append(("upsert", ending, {"mode": UpdateMode.REPLACE}))
            # An earlier revision may have missed something that is there now.
            for partition in (index.MISSING, index.TRUNCATED) if manifest.revision > 1 else ():
                if all(row.partition != partition for row in rows):
                    await self._delete({"PartitionKey": partition, "RowKey": index.row_key(manifest.recording_key)})
        batches = [some for changes in by_partition.values() for some in batched(changes, _MOST_IN_BATCH, strict=False)]
        await run_each(self._change, batches, at_once=_REQUESTS)

    async def forget_hold(self, recording_key: str) -> None:
        """Delete the row by which a recording is found that was on hold; raises azure-core's errors."""
        await self._delete({"PartitionKey": index.HOLD, "RowKey": index.row_key(recording_key)})

    async def ended(self, now: datetime, *, limit: int, after: str = "") -> list[tuple[str, str]]:
        """List up to `limit` recordings whose time may have ended, the earliest first: (row key, recording key).

        `after` is the row key behind which the list begins. Only the facts say whether a time has ended. Raises
        azure-core's errors.
        """
        found: list[tuple[str, str]] = []
        query = self._table().query_entities(
            "PartitionKey eq @p and RowKey gt @after and RowKey le @now",
            parameters={"p": index.ENDS, "after": after, "now": index.ended_before(now)},
            results_per_page=min(limit, _MOST_IN_ANSWER),
        )
        try:
            async for entity in query:
                found.append((entity["RowKey"], str(entity["recordingKey"])))
                if len(found) == limit:
                    break
        except ResourceNotFoundError:
            return []
        return found

    async def forget_ending(self, row: str) -> None:
        """Delete a row of `ended` that says nothing any more; raises azure-core's errors."""
        await self._delete({"PartitionKey": index.ENDS, "RowKey": row})

    async def announce(self, event: FileStatusUpdated) -> None:
        """Write the row of a recording that has just been announced, if it has none, and delete its live row.

        Within two seconds, and nothing is raised: the timer writes what is in flight.
        """

        async def write() -> None:
            if event.chunks:
                await self._insert(_entity(index.announced(event)))
            if event.recording_id:
                await self.forget_live(event.recording_id)

        await self._write_beside(write(), next="the timer writes the rows", recordingKey=event.recording_key)

    async def note_live(self, started: Started) -> None:
        """Write the row of a recording that was started through this app, or else a marker, from which the timer does.

        Within two seconds each, and nothing is raised.
        """
        recording_id, after = started.recording_id, "the timer writes the row, by a marker"
        is_written = await self._write_beside(self.write_live(started), next=after, recordingId=recording_id)
        if is_written or self._client is None:
            return
        try:
            async with asyncio.timeout(self._beside_seconds):
                await self._blobs.create("staging", layout.pending_live_blob(recording_id), _text(started).encode())
        except (AzureError, TimeoutError) as failed:
            log.error(
                "index.not_marked",
                recordingId=recording_id,
                reason=describe(failed),
                next="the list of live recordings lacks it; run python -m recording reindex",
            )

    async def write_live(self, started: Started) -> None:
        """Write the row of a live recording; one that is there stays, with its state. Raises azure-core's errors."""
        key = index.live_key(started.recording_id)
        await self._insert({"PartitionKey": index.LIVE, "RowKey": key, "started": _text(started)})

    async def marked_live(self, marker: str) -> Started | None:
        """Return the start whose row is missing, by its marker; None if that is gone or can't be read.

        Raises azure-core's errors.
        """
        text = await self._blobs.read("staging", marker)
        try:
            return Started.model_validate_json(text) if text else None
        except ValidationError:
            log.error("start.unreadable", blob=marker, next="its row is not written; inspect the blob")
            return None

    async def unmark_live(self, marker: str) -> None:
        """Delete the marker of a row that is there, or is needed no more; raises azure-core's errors."""
        await self._blobs.delete("staging", marker)

    async def _write_beside(self, write: Coroutine[Any, Any, None], *, next: str, **ids: str) -> bool:
        """Write beside what matters more, and return whether that could be done; `next` is what happens if not.

        A table that gave no answer is left alone for half a minute.
        """
        if time.monotonic() < self._silent_until:
            write.close()
            log.warning("index.not_written", **ids, reason="the table was silent a moment ago", next=next)
            return False
        try:
            async with asyncio.timeout(self._beside_seconds):
                await write
        except TimeoutError:
            self._silent_until = time.monotonic() + _SILENT_SECONDS
            log.warning("index.not_written", **ids, reason="TimeoutError", next=next)
        except (AzureError, Misconfigured) as failed:
            log.warning("index.not_written", **ids, reason=describe(failed), next=next)
        except Exception:
            log.exception("index.not_written", **ids, next=next)
        else:
            return True
        return False

    async def live(self) -> list[Started]:
        """List the recordings that were started through this app and aren't announced yet, the newest first.

        Raises azure-core's errors.
        """
        found: list[Started] = []
        query = self._table().query_entities("PartitionKey eq @p", parameters={"p": index.LIVE})
        try:
            async for entity in query:
                try:
                    found.append(Started.model_validate_json(entity["started"]))
                except (LookupError, ValidationError):
                    log.error("index.unreadable", partition=index.LIVE, row=entity["RowKey"])
        except ResourceNotFoundError:
            return []
        return sorted(found, key=lambda one: one.at or _NEVER, reverse=True)

    async def forget_live(self, recording_id: str) -> None:
        """Delete the row of a live recording; raises azure-core's errors."""
        await self._delete({"PartitionKey": index.LIVE, "RowKey": index.live_key(recording_id)})

    async def live_page(self, *, limit: int, token: Any = None) -> tuple[list[LiveRecording], Any]:
        """List up to `limit` live recordings from `token` on, in the order of their digests.

        Also return where the list goes on, None at its end. Raises azure-core's errors.
        """
        entities, following = await self._rows(index.LIVE, limit=limit, token=token)
        found: list[LiveRecording] = []
        for entity in entities:
            try:
                known = Known.model_validate({name: entity.get(name) for name in _KNOWN})
                found.append(LiveRecording.of(Started.model_validate_json(entity["started"]), known))
            except (LookupError, ValidationError):
                log.error("index.unreadable", partition=index.LIVE, row=entity["RowKey"])
        return found, following

    async def note_live_state(self, recording_id: str, known: Known) -> None:
        """Add what is known of a live recording's state, if it has a row; within two seconds, and nothing is raised."""

        async def write() -> None:
            columns = known.model_dump(mode="json", by_alias=True, exclude_none=True)
            entity = {"PartitionKey": index.LIVE, "RowKey": index.live_key(recording_id)} | columns
            with contextlib.suppress(ResourceNotFoundError):
                await self._table().update_entity(entity, mode=UpdateMode.MERGE)

        after = "the list of what is live shows the state before"
        await self._write_beside(write(), next=after, recordingId=recording_id)

    async def write_waiting(self, wanted: Mapping[str, tuple[str, str]], *, is_settled: Callable[[str], bool]) -> None:
        """Write the rows of chunks that need attention: {row key: (recording key, document id)}.

        Others are deleted if their recording `is_settled`: it was looked at, or is in flight no more. Raises
        azure-core's errors.
        """
        known: dict[str, str] = {}
        token = None
        while True:
            entities, token = await self._rows(index.WAITING, limit=_MOST_IN_ANSWER, token=token)
            known |= {entity["RowKey"]: str(entity.get("recordingKey")) for entity in entities}
            if token is None:
                break
        new = {row: one for row, one in wanted.items() if row not in known}
        changes: list[Change] = [
            ("upsert", {"PartitionKey": index.WAITING, "RowKey": row, "recordingKey": key, "documentId": document}, {})
            for row, (key, document) in new.items()
        ]
        await run_each(self._change, batched(changes, _MOST_IN_BATCH, strict=False), at_once=_REQUESTS)
        gone = [row for row, key in known.items() if row not in wanted and is_settled(key)]
        await run_each(self._delete_waiting, batched(gone, _MOST_IN_BATCH, strict=False), at_once=_REQUESTS)

    async def waiting(self, *, limit: int, token: Any = None) -> tuple[list[tuple[str, str]], Any]:
        """List up to `limit` chunks that need attention, the least time left first: (recording key, document id).

        Also return where the list goes on, None at its end. Raises azure-core's errors.
        """
        entities, following = await self._rows(index.WAITING, limit=limit, token=token)
        return [(str(one["recordingKey"]), str(one["documentId"])) for one in entities], following

    async def note_run(self, ran: TimerRan) -> None:
        """Write what a run of the timer did; raises azure-core's errors."""
        await self._upsert({"PartitionKey": index.TIMER, "RowKey": "last", "ran": _text(ran)})

    async def last_run(self) -> TimerRan | None:
        """Return what the last run of the timer did; None if none is on record. Raises azure-core's errors."""
        try:
            return TimerRan.model_validate_json((await self._table().get_entity(index.TIMER, "last"))["ran"])
        except (ResourceNotFoundError, LookupError, ValidationError):
            return None

    async def note(self, fact: str, entry: TrailEntry) -> None:
        """Write the row of a fact of the trail; within two seconds, and nothing is raised: the timer looks for it."""
        try:
            async with asyncio.timeout(self._beside_seconds):
                await self.write_trail([(fact, entry)])
        except (AzureError, Misconfigured, TimeoutError) as failed:
            log.warning("index.not_written", fact=fact, reason=describe(failed), next="the timer writes its row")

    async def write_trail(self, facts: Iterable[tuple[str, TrailEntry]]) -> None:
        """Write the rows of facts of the trail, by their names; raises azure-core's errors."""
        by_partition: dict[str, list[Change]] = defaultdict(list)
        for fact, entry in facts:
            if place := index.trail_row(fact, entry):
                text = entry.model_dump_json(by_alias=True, exclude_none=True)
                row = {"PartitionKey": place[0], "RowKey": place[1], "entry": text}
                by_partition[place[0]].append(("upsert", row, {"mode": UpdateMode.REPLACE}))
        batches = [some for changes in by_partition.values() for some in batched(changes, _MOST_IN_BATCH, strict=False)]
        await run_each(self._change, batches, at_once=_REQUESTS)

    async def trail(self, recording: str, *, after: str, limit: int) -> list[tuple[str, TrailEntry]]:
        """Return the newest entries of a recording's trail behind a row key, with theirs; raises azure-core's errors.

        `recording` is its key, or the digest of its recording id.
        """
        found: list[tuple[str, TrailEntry]] = []
        query = self._table().query_entities(
            "PartitionKey eq @p and RowKey gt @after",
            parameters={"p": index.trail(recording), "after": after},
            results_per_page=limit,
        )
        try:
            async for entity in query:
                try:
                    found.append((entity["RowKey"], TrailEntry.model_validate_json(entity["entry"])))
                except (LookupError, ValidationError):
                    log.error("index.unreadable", row=entity.get("RowKey"), next="omitted; python -m recording reindex")
                if len(found) == limit:
                    break
        except ResourceNotFoundError:
            return []
        return found

    async def forget(self, manifest: Manifest, kept: Kept) -> None:
        """Delete what `write` has written of a recording that was erased meanwhile; raises azure-core's errors."""
        await self.delete(await self._places(manifest, kept))

    async def replace(self, before: tuple[Manifest, Kept], now: tuple[Manifest, Kept]) -> None:
        """Write all rows of a recording again, and delete those that only its state `before` has.

        Raises azure-core's errors.
        """
        await self.write(*now)
        await self.delete(await self._places(*before) - await self._places(*now))

    async def _places(self, manifest: Manifest, kept: Kept) -> set[tuple[str, str]]:
        """Return partition and row key of all that `write` writes of a recording."""
        places = {(row.partition, row.key) for row in index.rows(manifest, await self.digests(), kept)}
        until = kept.until(manifest.archived_at)
        return places | ({(index.ENDS, index.ending(manifest.recording_key, until))} if until else set())

    async def delete(self, rows: Iterable[tuple[str, str]]) -> None:
        """Delete rows, by partition and row key; what is gone is no matter. Raises azure-core's errors."""

        async def delete(row: tuple[str, str]) -> None:
            await self._delete({"PartitionKey": row[0], "RowKey": row[1]})

        await run_each(delete, rows, at_once=_REQUESTS)

    async def has_others(self, call_id: str, key: str) -> bool:
        """Return whether a call has another recording than this one; raises azure-core's errors."""
        found = await self._rows(index.call(call_id), limit=2, token=None)
        return any(entity["RowKey"] != index.row_key(key) for entity in found[0])

    async def rows_of(self, recording_key: str) -> list[tuple[str, str]]:
        """Find all rows of a recording without its manifests, by a look at the whole table: (partition, row key).

        Raises azure-core's errors.
        """
        query = self._table().query_entities(
            "RowKey eq @row or recordingKey eq @key",
            parameters={"row": index.row_key(recording_key), "key": recording_key},
            select=["PartitionKey", "RowKey"],
        )
        try:
            return [(str(entity["PartitionKey"]), str(entity["RowKey"])) async for entity in query]
        except ResourceNotFoundError:
            return []

    async def keys_of(self, recording_id: str) -> list[str]:
        """List the keys of a recording by its id: usually one. Raises azure-core's errors."""
        partition = f"recording:{(await self.digests()).recording(recording_id)}"
        found, _ = await self._rows(partition, limit=_MOST_IN_ANSWER, token=None)
        return [str(entity["RowKey"]).partition("-")[2] for entity in found]

    async def note_erasure(self, summary: ErasureSummary) -> None:
        """Write the row of an erasure; within two seconds, and nothing is raised: the facts count."""
        after = "the facts count; python -m recording reindex writes the row"
        await self._write_beside(self._upsert(_erasure(summary)), next=after, erasure=summary.erasure_id)

    async def write_erasure(self, summary: ErasureSummary) -> None:
        """Write the row of an erasure again; raises azure-core's errors."""
        await self._upsert(_erasure(summary))

    async def erasures(self, *, limit: int, token: Any = None) -> tuple[list[ErasureSummary], Any]:
        """List up to `limit` erasures from `token` on, those that were asked for last first.

        Also return where the list goes on, None at its end. Raises azure-core's errors.
        """
        entities, following = await self._rows(index.ERASURES, limit=limit, token=token)
        found: list[ErasureSummary] = []
        for entity in entities:
            try:
                found.append(ErasureSummary.model_validate_json(entity["erasure"]))
            except (LookupError, ValidationError):
                log.error("index.unreadable", partition=index.ERASURES, row=entity["RowKey"])
        return found, following

    async def write_in_flight(self, manifests: Iterable[Manifest], kept: Mapping[str, Kept] | None = None) -> list[Row]:
        """Write the rows of recordings in flight, where they say something new; return them.

        What shows an archived recording stays: this may come after the archive job, from an older list of staging.
        Raises azure-core's errors.
        """
        digests = await self.digests()
        keeps = kept or {}
        rows = [row for one in manifests for row in index.rows(one, digests, keeps.get(one.recording_key, NOTHING))]
        new = [row for row in rows if self._told.get((row.partition, row.key)) != _text(row.summary)]
        by_partition: dict[str, list[tuple[Row, Change]]] = defaultdict(list)

        async def compare(row: Row) -> None:
            try:
                known = await self._table().get_entity(row.partition, row.key, select=["revision"])
            except ResourceNotFoundError:
                by_partition[row.partition].append((row, ("create", _entity(row), {})))
                return
            if known.get("revision"):
                self._remember(row)
            else:
                seen = {"etag": known.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
                change = ("update", _entity(row), seen | {"mode": UpdateMode.REPLACE})
                by_partition[row.partition].append((row, change))

        await run_each(compare, new, at_once=_REQUESTS)
        batches = [some for rows in by_partition.values() for some in batched(rows, _MOST_IN_BATCH, strict=False)]
        await run_each(self._change_if_unchanged, batches, at_once=_REQUESTS)
        return [row for some in batches for row, _ in some]

    async def page(self, wanted: Search, *, limit: int, token: Any = None) -> Page:
        """Return up to `limit` recordings from `token` on, newest first.

        One request, unless the service's answer is empty, or a filter on columns leaves little of it: then a few.
        Raises azure-core's errors, or Misconfigured where the key of the digests was lost: finding nobody would be a
        wrong answer.
        """
        if wanted.has_digests and await self.has_other_key():
            raise Misconfigured(_OTHER_KEY)
        terms = ["RowKey ge @first and RowKey le @last"]
        values: dict[str, Any] = {"first": wanted.first_key, "last": wanted.last_key}
        if wanted.first_partition == wanted.last_partition:
            terms.insert(0, "PartitionKey eq @partition")
            values["partition"] = wanted.first_partition
        else:
            terms.insert(0, "PartitionKey ge @from and PartitionKey le @to")
            values |= {"from": wanted.first_partition, "to": wanted.last_partition}
        for number, (name, value) in enumerate(wanted.columns):
            terms.append(f"{name} eq @c{number}")
            values[f"c{number}"] = value
        found: list[RecordingSummary] = []
        for _ in range(_MOST_REQUESTS):
            query = self._table().query_entities(
                " and ".join(terms), parameters=values, select=["summary"], results_per_page=limit - len(found)
            )
            pages = query.by_page(continuation_token=token)
            try:
                found += [one async for entity in await anext(pages) if (one := _summary(entity))]
            except (StopAsyncIteration, ResourceNotFoundError):
                return Page(found)
            token = pages.continuation_token  # type: ignore[attr-defined]
            if token is None or len(found) >= limit or (found and not wanted.columns):
                break
        return Page(found, token)

    async def archived_on(self, day: datetime) -> AsyncIterator[RecordingSummary]:
        """Walk the archived recordings that started on a day (UTC), newest first; raises azure-core's errors."""
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        wanted = index.search(await self.digests(), since=begin, until=begin + _DAY)
        token = None
        while True:
            found = await self.page(wanted, limit=_MOST_IN_ANSWER, token=token)
            for one in found.summaries:
                if one.state in ("archived", "incomplete"):
                    yield one
            if (token := found.token) is None:
                return

    async def differences(self, manifest: Manifest, kept: Kept = NOTHING) -> list[str]:
        """Compare a recording's rows with its facts; return the kind of each partition whose row differs."""
        found: list[str] = []
        for row in index.rows(manifest, await self.digests(), kept):
            try:
                stored: Mapping[str, Any] = await self._table().get_entity(row.partition, row.key)
            except ResourceNotFoundError:
                stored = {}
            if any(stored.get(name) != value for name, value in _entity(row).items()):
                found.append(row.partition.partition(":")[0])
        return found

    async def partitions(self, manifest: Manifest, kept: Kept = NOTHING) -> set[str]:
        """Return the partitions in which a recording has a row."""
        return {row.partition for row in index.rows(manifest, await self.digests(), kept)}

    async def recording_keys(self) -> AsyncIterator[tuple[str, str]]:
        """Walk all rows of recordings: the key of the recording, and the partition."""
        rows = self._table().list_entities(select=["PartitionKey", "RowKey", "revision"])
        try:
            async for entity in rows:
                if entity.get("revision") is not None:
                    yield str(entity["RowKey"]).partition("-")[2], str(entity["PartitionKey"])
        except ResourceNotFoundError:
            return

    async def mark(self, name: str, done: str) -> None:
        """Record how far a command has come, for its next run."""
        await self._upsert({"PartitionKey": index.REINDEX, "RowKey": name, "done": done})

    async def marked(self, name: str) -> str | None:
        """Return how far an earlier run of a command came; None if none was interrupted."""
        try:
            return str((await self._table().get_entity(index.REINDEX, name))["done"])
        except (ResourceNotFoundError, LookupError):
            return None

    async def unmark(self, name: str) -> None:
        """Delete what `mark` wrote: a command has come to its end."""
        await self._delete({"PartitionKey": index.REINDEX, "RowKey": name})

    async def digests(self) -> Digests:
        """Return what makes the digests; the key is made once, by the first process that needs it.

        Raises azure-core's errors, or Misconfigured for a key that can't be read.
        """
        if self._digests is None:
            text = await self._blobs.read("archive", layout.INDEX_KEY)
            if text is None:
                made = index.key_text(secrets.token_bytes(32))
                await self._blobs.create("archive", layout.INDEX_KEY, made)
                # Another process may have been faster.
                text = await self._blobs.read("archive", layout.INDEX_KEY)
            try:
                self._digests = Digests(index.parse_key(text or b""))
            except ValueError as bad:
                raise Misconfigured(f"{layout.INDEX_KEY} in the archive: {bad}") from None
        return self._digests

    async def has_other_key(self) -> bool:
        """Return whether the digests in the rows were made with another key than the archive has now.

        Asked once, while the answer is no. Raises azure-core's errors.
        """
        if not self._has_its_key:
            self._has_its_key = await self.marked(_KEY) in (None, (await self.digests()).witness())
        return not self._has_its_key

    async def note_key(self) -> None:
        """Record that all digests in the rows are made with the present key; raises azure-core's errors."""
        await self._upsert(self._key_entity(await self.digests()))

    def _key_entity(self, digests: Digests) -> Entity:
        return {"PartitionKey": index.REINDEX, "RowKey": _KEY, "done": digests.witness()}

    async def forget_digests(self) -> None:
        """Delete the rows that are found by a digest: nobody finds or deletes them by another key.

        Raises azure-core's errors.
        """
        for kind in index.BY_DIGEST:
            query = self._table().query_entities(
                "PartitionKey ge @first and PartitionKey lt @behind",
                # ";" sorts right behind ":".
                parameters={"first": kind, "behind": f"{kind[:-1]};"},
                select=["PartitionKey", "RowKey"],
            )
            try:
                async for page in query.by_page():
                    await self.delete([(row["PartitionKey"], row["RowKey"]) async for row in page])
            except ResourceNotFoundError:
                return

    async def _rows(self, partition: str, *, limit: int, token: Any) -> tuple[list[Entity], Any]:
        """Return up to `limit` rows of a partition from `token` on, and where they go on: one request."""
        query = self._table().query_entities("PartitionKey eq @p", parameters={"p": partition}, results_per_page=limit)
        pages = query.by_page(continuation_token=token)
        try:
            found = [dict(entity) async for entity in await anext(pages)]
        except (StopAsyncIteration, ResourceNotFoundError):
            return [], None
        return found, pages.continuation_token  # type: ignore[attr-defined]

    def _table(self) -> TableClient:
        if self._client is None:
            raise Misconfigured("AzureWebJobsStorage__tableServiceUri is not set: there is no search index")
        return self._client

    async def _change(self, changes: Sequence[Change]) -> None:
        """Make changes to one partition, all of them or none; make the table first, if it isn't there."""
        try:
            await self._send(changes)
        except (ResourceNotFoundError, TableTransactionError) as failed:
            if not _is_no_table(failed):
                raise
            await self._create()
            await self._send(changes)

    async def _send(self, changes: Sequence[Change]) -> None:
        table = self._table()
        if len(changes) > 1:
            await table.submit_transaction(changes)
            return
        # A request of its own is quicker than a transaction of one.
        [(verb, entity, options)] = changes
        change = {"upsert": table.upsert_entity, "create": table.create_entity, "update": table.update_entity}[verb]
        await change(entity, **options)

    async def _change_if_unchanged(self, changes: Sequence[tuple[Row, Change]]) -> None:
        """Make changes; where a row has changed since it was read, make the others one by one, and leave that one."""
        try:
            await self._change([change for _, change in changes])
        except (TableTransactionError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            for change in changes if len(changes) > 1 else ():
                await self._change_if_unchanged([change])
        else:
            for row, _ in changes:
                self._remember(row)

    def _remember(self, row: Row) -> None:
        self._told[row.partition, row.key] = _text(row.summary)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    async def _insert(self, entity: Entity) -> None:
        """Create a row; one that is there stays."""
        try:
            await self._table().create_entity(entity)
        except ResourceExistsError:
            return
        except ResourceNotFoundError:
            await self._create()
            await self._upsert(entity)

    async def _upsert(self, entity: Entity) -> None:
        try:
            await self._table().upsert_entity(entity, mode=UpdateMode.REPLACE)
        except ResourceNotFoundError:
            await self._create()
            await self._table().upsert_entity(entity, mode=UpdateMode.REPLACE)

    async def _delete(self, entity: Entity) -> None:
        """Delete a row; it may be gone, and so may the table."""
        try:
            await self._table().delete_entity(entity["PartitionKey"], entity["RowKey"])
        except ResourceNotFoundError:
            return

    async def _delete_waiting(self, rows: Sequence[str]) -> None:
        """Delete rows of chunks that wait no more; another run may have deleted some of them."""
        entities = [{"PartitionKey": index.WAITING, "RowKey": row} for row in rows]
        try:
            if len(entities) > 1:
                await self._table().submit_transaction([("delete", entity) for entity in entities])
                return
        except (TableTransactionError, ResourceNotFoundError):
            pass
        for entity in entities:
            await self._delete(entity)

    async def _create(self) -> None:
        try:
            await self._table().create_table()
        except ResourceExistsError:
            return


def _erasure(summary: ErasureSummary) -> Entity:
    row = f"{index.inverted(summary.asked_at)}-{summary.erasure_id}"
    return {"PartitionKey": index.ERASURES, "RowKey": row, "erasure": summary.model_dump_json(by_alias=True)}


def _is_no_table(failed: HttpResponseError) -> bool:
    """Return whether the table itself is missing; `create_entity` doesn't read why (azure-data-tables 12.7.0)."""
    code = getattr(failed, "error_code", None)
    return code is None or str(getattr(code, "value", code)) == "TableNotFound"


def _entity(row: Row) -> Entity:
    """Return a row as it is stored: `summary` is what a list shows, the other columns are what filters compare."""
    return {
        "PartitionKey": row.partition,
        "RowKey": row.key,
        "summary": _text(row.summary),
        "revision": row.revision,
        "state": row.summary.state,
        "callId": row.summary.call_id.lower(),
        "conversation": row.conversation,
        "recording": row.recording,
        "reference": row.reference,
        "missing": bool(row.summary.missing) or row.summary.state == "absent",
        "truncated": bool(row.summary.truncated),
        "hold": bool(row.summary.hold),
    }


def _text(record: RecordingSummary | Started | TimerRan) -> str:
    return record.model_dump_json(by_alias=True, exclude_none=True)


def _summary(entity: Mapping[str, Any]) -> RecordingSummary | None:
    """Read a row; one that can't be read is omitted from the list."""
    try:
        return RecordingSummary.model_validate_json(entity["summary"])
    except (LookupError, ValidationError):
        log.error("index.unreadable", row=entity.get("RowKey"), next="omitted; python -m recording reindex")
        return None
