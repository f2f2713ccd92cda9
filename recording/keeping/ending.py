"""Use case: the timer has recordings erased whose retention class has ended, unless a case holds them.

Rows of the index say which may have ended, the facts whether they have. The erasure is the usual one: it looks for
holds again when it begins, and ends with a certificate.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError

from recording.errors import ManifestUnreadable, Misconfigured, describe
from recording.keeping.follow import Follow
from recording.model import index
from recording.model.keeping import NOTHING, has_ended
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.telemetry import log
from recording.workers import run_each

# Asks for the erasure of a recording; None if it is erased already, or something forbids it.
type Erase = Callable[[str], Awaitable[str | None]]

# Recordings for which one run asks, about; rows that are looked at together, which must take a part of its time only.
_MOST, _PAGE, _AT_ONCE, _SECONDS = 100, 100, 8, 30.0
# The name of the mark in the index: the last row that a run looked at which did not come to the end.
_MARK = "retention-ends"


@dataclass(frozen=True)
class RetentionEnds:
    """Looks for recordings whose time is over."""

    index: Index
    keeping: KeepingStore
    follow: Follow
    erase: Erase

    async def run(self, now: datetime) -> list[str]:
        """Ask for erasures, and return the recordings; raises nothing: the next run tries again."""
        asked: list[str] = []
        try:
            async with asyncio.timeout(_SECONDS):
                await self._run(now, asked)
        except (AzureError, Misconfigured, TimeoutError) as failed:
            log.warning("retention.not_ended", reason=describe(failed), next="the next run tries again")
        except Exception:
            log.exception("retention.not_ended", next="the next run tries again")
        return asked

    async def _run(self, now: datetime, asked: list[str]) -> None:
        """Look at all rows, those behind the last run's first: what waits must not keep others from their turn."""
        after = await self.index.marked(_MARK) or ""
        while len(asked) < _MOST:
            rows = await self.index.ended(now, after=after, limit=_PAGE)
            await self._look_at(rows, now, asked)
            if len(rows) == _PAGE:
                after = rows[-1][0]
                await self.index.mark(_MARK, after)
                continue
            if after:
                await self.index.unmark(_MARK)
            return

    async def _look_at(self, rows: list[tuple[str, str]], now: datetime, asked: list[str]) -> None:
        kept = await self.keeping.of_days(key for _, key in rows)
        free = [(row, key) for row, key in rows if not kept.get(key, NOTHING).holds]

        async def look(one: tuple[str, str]) -> None:
            try:
                if await self._look(*one, now):
                    asked.append(one[1])
            except ManifestUnreadable as failed:
                # The others must not wait for it.
                log.error(
                    "retention.not_ended",
                    recordingKey=one[1],
                    reason=failed.message,
                    next="it is kept until its manifest can be read",
                )

        await run_each(look, free, at_once=_AT_ONCE)

    async def _look(self, row: str, key: str, now: datetime) -> bool:
        found, kept = await self.follow.find(key), await self.keeping.find(key)
        until = kept.until(found.archived_at) if found else None
        if found is None or until is None or row != index.ending(key, until):
            # It is gone, or has another class or a newer manifest since; then it has another row.
            if found and until:
                await self.index.write(found, kept)
            await self.index.forget_ending(row)
            return False
        if not has_ended(kept, found.archived_at, now):
            return False
        erasure = await self.erase(key)
        if erasure:
            log.info("retention.ended", recordingKey=key, erasure=erasure, reason=kept.retention_class)
        return erasure is not None
