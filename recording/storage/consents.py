"""Facts of consent, by conversation, and markers of recordings that are to be paused because one was withdrawn.

    consents/{sha256(conversation)}/{time}-{digest}.json    in the archive: a participant granted or withdrew
    pending-pauses/{sha256(recording id)}.json              in staging: a marker; the recording is yet to be paused

Facts are only added. All ids of one conversation have the same folder, as far as the ids show that they are of one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.clock import Clock, utc_now
from recording.errors import describe
from recording.model import conversation, layout
from recording.model.consent import Consent, ConsentFacts, counts_from
from recording.model.record import Record
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.telemetry import log
from recording.workers import run_each

_READS = 16
_DAY = timedelta(days=1)
# Lists of a day each; for a call that began before that, one of the whole folder is less.
_MOST_DAYS = 10


class PendingPause(Record):
    """A recording that is to be paused, in the conversation whose consent was withdrawn."""

    recording_id: str
    conversation_id: str
    at: datetime


class Consents:
    """Keeps the facts and the markers; `timeout` is in seconds, for what a caller waits for."""

    def __init__(
        self, blobs: Blobs, *, clock: Clock = utc_now, timeout: float = 10.0, mark_timeout: float = 2.0
    ) -> None:
        self._blobs = blobs
        self._clock = clock
        self._timeout = timeout
        # A recording must be paused soon, also while storage hangs.
        self._mark_timeout = mark_timeout

    async def write(self, fact: Consent) -> bool:
        """Write a fact; False if it was there. Raises azure-core's errors or TimeoutError."""
        name = layout.consent_blob(_folder_of(fact.conversation_id), fact.at, fact.digest())
        async with asyncio.timeout(self._timeout):
            return await self._blobs.create("archive", name, fact.model_dump_json(by_alias=True).encode())

    async def of(self, *conversation_ids: str | None, since: datetime) -> ConsentFacts:
        """Read the facts of a conversation, by any of its ids, that may count for a call that began at `since`.

        Those that don't are neither listed nor read, as far as their names say so: the id of a room keeps the facts of
        all its calls. One that can't be parsed is logged, and is among the `unreadable`. Raises azure-core's errors or
        TimeoutError.
        """
        found: list[Consent] = []
        unreadable: list[tuple[str, datetime]] = []
        # By the name of a blob, the conversation id that led to its folder.
        names: dict[str, str] = {}

        async def read(name: str) -> None:
            try:
                found.append(Consent.model_validate_json(await self._blobs.read("archive", name) or b""))
            except ValidationError:
                log.error("consent.unreadable", blob=name, next="it counts as a withdrawal; inspect it")
                unreadable.append((names[name], layout.consent_time(name)))

        async with asyncio.timeout(self._timeout):
            for one in filter(None, conversation_ids):
                begin = counts_from(one, since=since)
                for prefix in self._prefixes(one, begin):
                    async for blob in self._blobs.list_blobs("archive", prefix):
                        if begin is None or layout.consent_time(blob.name) >= begin:
                            names[blob.name] = one
            await run_each(read, names, at_once=_READS)
        return ConsentFacts(found, unreadable)

    def _prefixes(self, conversation_id: str, begin: datetime | None) -> list[str]:
        """Return how the names of a conversation's facts begin, from a time on; their day comes first in them."""
        folder, now = _folder_of(conversation_id), self._clock().astimezone(UTC)
        if begin is None or now - begin > _MOST_DAYS * _DAY:
            return [layout.consent_folder(folder)]
        first = begin.astimezone(UTC)
        # Tomorrow's as well: the clock of the process that wrote one may be ahead of this one's.
        days = (now.date() - first.date()).days + 2
        return [layout.consent_day_prefix(folder, first + number * _DAY) for number in range(days)]

    async def mark(self, pause: PendingPause) -> None:
        """Mark a recording as yet to be paused; one that can't be marked is logged, and nothing is raised."""
        try:
            async with asyncio.timeout(self._mark_timeout):
                name = layout.pause_blob(pause.recording_id)
                await self._blobs.create("staging", name, pause.model_dump_json(by_alias=True).encode())
        except (AzureError, TimeoutError) as failed:
            log.error(
                "consent.not_marked",
                recordingId=pause.recording_id,
                reason=describe(failed),
                next="if it can't be paused now, nobody tries again",
            )

    async def unmark(self, recording_id: str) -> None:
        """Delete the marker of a recording that is paused, or over; the timer clears what can't be deleted now."""
        try:
            async with asyncio.timeout(self._mark_timeout):
                await self._blobs.delete("staging", layout.pause_blob(recording_id))
        except (AzureError, TimeoutError) as failed:
            log.warning(
                "consent.not_unmarked", recordingId=recording_id, reason=describe(failed), next="the timer deletes it"
            )

    async def pending(self, markers: Iterable[StoredBlob]) -> AsyncIterator[PendingPause]:
        """Read which recordings are yet to be paused, from their markers; raises azure-core's errors."""
        for blob in markers:
            text = await self._blobs.read("staging", blob.name)
            try:
                if text is not None:
                    yield PendingPause.model_validate_json(text)
            except ValidationError:
                log.error("consent.unreadable", blob=blob.name, next="not touched; inspect it")


def _folder_of(conversation_id: str) -> str:
    return conversation.identity(conversation_id) or conversation_id
