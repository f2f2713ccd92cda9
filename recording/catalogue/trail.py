"""Use case: show the trail, and keep its rows in step with its facts."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import batched
from typing import Annotated

from azure.core.exceptions import AzureError
from pydantic import BeforeValidator

from recording.catalogue.browse import Catalogue, PageQuery, next_link, read_token, reading_index
from recording.clock import Clock, utc_now
from recording.errors import ManifestUnreadable, NotFound, TrailUnavailable, describe
from recording.model import index, layout
from recording.model.index import Search
from recording.model.record import Body
from recording.model.trail import TrailEntry
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.trail import Trail
from recording.telemetry import log

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_WEEK = timedelta(days=7)
# A fact has the time at which its operation began, and is written when that has ended.
_LATE = timedelta(minutes=10)
# The name of the mark in the index: the last fact whose row was written, or the end of an hour.
_MARK = "trail"
_AT_ONCE = 500


def _require_date(text: object) -> object:
    # pydantic takes a number for seconds since 1970, also as text.
    if not isinstance(text, str) or len(text) != 10 or text[4] != "-":
        raise ValueError("must be a day such as 2026-11-24, in UTC")
    return text


class DayTrailQuery(PageQuery):
    """Query of the trail of a day in UTC, by default of today; `cursor` is from an earlier answer for that day."""

    day: Annotated[date, BeforeValidator(_require_date)] | None = None


class TrailPage(Body):
    """A page of the trail, newest first; `nextLink` is the address of the next page, `cursor` its parameter."""

    entries: list[TrailEntry]
    cursor: str | None = None
    next_link: str | None = None


class TrailView:
    """The trail of a recording, by the rows of the index, and of a day, by the facts."""

    def __init__(
        self, trail: Trail, catalogue: Catalogue, endings: Endings, index: Index, *, clock: Clock = utc_now
    ) -> None:
        self._trail = trail
        self._catalogue = catalogue
        self._endings = endings
        self._index = index
        self._clock = clock

    async def of_recording(self, key: str, query: PageQuery, *, url: str) -> TrailPage:
        """Return what was done with a recording, also of one that is gone, newest first.

        Raises BadRequest for a malformed key and for a cursor that isn't of this recording, NotFound if there is
        neither a trail nor a recording, IndexUnavailable while the index can't be reached.
        """
        layout.check_key(key)
        async with reading_index():
            digests = await self._index.digests()
            wanted = Search(index.trail(key), index.trail(key), "", "~")
            after, recording_id = read_token(digests, wanted, query.cursor) if query.cursor else ("", None)
            rows = await self._index.trail(key, after=after, limit=query.limit + 1)
            # Of an erased recording: its entries name the digest of the key.
            rows += await self._index.trail(layout.key_digest(key), after=after, limit=query.limit + 1)
        if not query.cursor:
            recording_id = await self._recording_id(key, rows)
        # It got its key when it had ended: what was done before is under its recording id.
        if recording_id:
            digest = layout.recording_digest(recording_id)
            async with reading_index():
                rows += await self._index.trail(digest, after=after, limit=query.limit + 1)
        rows.sort(key=lambda row: row[0])
        shown = rows[: query.limit]
        entries = [entry for _, entry in shown]
        if len(rows) <= query.limit:
            return TrailPage(entries=entries)
        cursor = index.write_cursor(digests, wanted, [shown[-1][0], recording_id])
        return TrailPage(entries=entries, cursor=cursor, next_link=next_link(url, query, cursor))

    async def of_day(self, query: DayTrailQuery, *, url: str) -> TrailPage:
        """Return what was done on a day with any recording, newest first; a look may stand a page later than its time.

        Raises BadRequest for a cursor that isn't of this day, TrailUnavailable while the facts can't be read.
        """
        day = query.day or self._clock().astimezone(UTC).date()
        folder = layout.trail_folder(datetime.combine(day, time(), UTC))
        wanted = Search(folder, folder, "", "~")
        try:
            digests = await self._index.digests()
            before = read_token(digests, wanted, query.cursor) if query.cursor else None
            names = [name for name in await self._trail.names(folder) if before is None or name < before]
            shown = sorted(names, reverse=True)[: query.limit]
            read = [entry for _, entry in await self._trail.read(shown)]
            # The fact of a look is named by the beginning of its quarter of an hour.
            entries = sorted(read, key=lambda entry: entry.at, reverse=True)
        except AzureError as failed:
            log.error("trail.not_read", reason=describe(failed), next="the request is answered with 503")
            raise TrailUnavailable("the trail can't be read now; try again") from None
        if len(names) <= query.limit:
            return TrailPage(entries=entries)
        cursor = index.write_cursor(digests, wanted, shown[-1])
        # The day is in the address, so that the next page is of the same day also after midnight.
        asked = query.model_copy(update={"day": day})
        return TrailPage(entries=entries, cursor=cursor, next_link=next_link(url, asked, cursor))

    async def _recording_id(self, key: str, rows: list[tuple[str, TrailEntry]]) -> str | None:
        """Return the recording id of a recording, if that is known; raises NotFound if nothing at all is known."""
        try:
            found = await self._catalogue.find(key)
        except ManifestUnreadable:
            found = None  # its manifest can't be read; its trail can
        if found is None and not rows:
            raise NotFound("there is neither a trail nor a recording of this key", target="recordingKey")
        known = [found.recording_id if found else None, *(entry.recording_id for _, entry in rows)]
        # The events of the 2021 preview API name no recording: there the timer assigns the stop.
        return next(filter(None, known), None) or await self._endings.assigned(key)


class TrailRows:
    """Writes the rows of facts again: what could not be written beside a fact, and what was deleted."""

    def __init__(self, trail: Trail, index: Index) -> None:
        self._trail = trail
        self._index = index
        self._done: str | None = None

    async def catch_up(self, now: datetime) -> None:
        """Write the rows of the hours that have ended since the last time, of a week at most.

        One list for each hour, and nothing in between. What a run doesn't reach the next one continues. Raises
        azure-core's errors.
        """
        last = (now - _LATE).astimezone(UTC).replace(minute=0, second=0, microsecond=0) - _HOUR
        if self._done is None:
            self._done = await self._index.marked(_MARK) or _over(last - _HOUR)
            if await self._index.marked(index.TRAIL_SINCE) is None:
                # A new table, or one that was lost: it may lack the rows of what was before.
                await self._index.mark(index.TRAIL_SINCE, self._done)
        hour = layout.trail_hour(self._done) or last
        if hour < last - _WEEK:
            hour = last - _WEEK
            await self._index.mark(index.TRAIL_SINCE, layout.trail_hour_prefix(hour))
        while hour <= last:
            if self._done < _over(hour):
                prefix = layout.trail_hour_prefix(hour)
                await self._write_after(self._done, await self._trail.names(prefix))
                await self._mark(_over(hour))
            hour += _HOUR

    async def _write_after(self, done: str, names: list[str]) -> None:
        """Write the rows of the facts behind the one that was the last."""
        batches = [*batched((name for name in names if name > done), _AT_ONCE, strict=False)]
        for number, some in enumerate(batches, start=1):
            await self._index.write_trail(await self._trail.read(some))
            if number < len(batches):
                await self._mark(some[-1])

    async def _mark(self, done: str) -> None:
        await self._index.mark(_MARK, done)
        self._done = done

    async def rebuild(self, since: datetime | None, until: datetime | None) -> AsyncIterator[tuple[str, int]]:
        """Write the rows of what was done on the days of [since, until), and yield each day with the number of facts.

        A run that was interrupted is continued after the last day that it finished. Raises azure-core's errors.
        """
        name = f"{_MARK}-{layout.run_name(since, until)}"
        done = await self._index.marked(name) or ""
        for day in await self._trail.days(since, until):
            folder = layout.trail_folder(day)
            if folder <= done:
                continue
            names = await self._trail.names(folder)
            for some in batched(names, _AT_ONCE, strict=False):
                await self._index.write_trail(await self._trail.read(some))
            await self._index.mark(name, folder)
            yield f"{day:%Y-%m-%d}", len(names)
        if since is None and until is None:
            await self._index.mark(index.TRAIL_SINCE, layout.trail_hour_prefix(_BEGINNING))
        await self._index.unmark(name)


def _over(hour: datetime) -> str:
    """Return what sorts behind all facts of an hour, and before those of the next one."""
    return f"{layout.trail_hour_prefix(hour)}~"
