"""Use case: list recordings, and find one of them, in flight or archived."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit

from azure.core.exceptions import AzureError
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from recording.errors import BadRequest, Forbidden, IndexUnavailable, NotFound, describe
from recording.model import index, layout, manifest
from recording.model.attempts import FIRST_RESCUE
from recording.model.erasure import ReasonCode
from recording.model.index import RecordingSummary, State
from recording.model.keeping import Hold
from recording.model.manifest import Manifest
from recording.model.record import Body, Record, UtcTime
from recording.storage.erasures import ErasureStore, Steps
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.storage.tombstones import Tombstones
from recording.telemetry import log


def _require_text(time: object) -> object:
    # pydantic takes a number for seconds since 1970.
    if not isinstance(time, str) or not time[4:5] == "-":
        raise ValueError("must be a time in ISO 8601, such as 2026-11-24T14:02:11Z")
    return time


Time = Annotated[UtcTime, BeforeValidator(_require_text)]


# As this app writes them (`model/index.py`): no other character needs more room in an address than the host allows.
Cursor = Annotated[str, Field(min_length=1, max_length=4096, pattern="^[A-Za-z0-9_-]+$")]


class PageQuery(Record, populate_by_name=False):
    """Query of a list: `cursor` is from an earlier answer of the same list."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor | None = None


class ListQuery(Record, populate_by_name=False):
    """Query of `GET /recordings`: times in ISO 8601, `cursor` from an earlier answer to the same filters.

    `conversation` is a conversation id or a server call id, `reference` the start's `operationContext`, `participant` a
    raw id or a phone number. By their aliases only: `?since=` is not a parameter.
    """

    since: Time | None = Field(default=None, alias="from")
    until: Time | None = Field(default=None, alias="to")
    participant: str | None = Field(default=None, min_length=1, max_length=1024)
    conversation: str | None = Field(default=None, min_length=1, max_length=4096)
    call: str | None = Field(default=None, pattern=f"^(?:{layout.CALL_ID.pattern})$")
    recording_id: str | None = Field(default=None, min_length=1, max_length=1024)
    reference: str | None = Field(default=None, min_length=1, max_length=5000)
    state: State | None = None
    missing: bool | None = None
    truncated: bool | None = None
    hold: bool | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor | None = None

    @field_validator("until")
    @classmethod
    def _is_not_before(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since: datetime | None = info.data.get("since")
        if since and until and until < since:
            raise ValueError("must not be before `from`")
        return until


class RecordingList(Body):
    """A page of recordings, newest first; `nextLink` is the address of the next page, `cursor` its parameter.

    A page may have fewer recordings than the limit, or none, and still a next page.
    """

    recordings: list[RecordingSummary]
    cursor: str | None = None
    next_link: str | None = None


class AskedErasure(Record):
    """That the erasure of a recording was asked for, and when it happens; or that it has begun."""

    state: Literal["asked", "erasing"]
    asked_at: datetime
    happens_at: datetime
    reason: ReasonCode


class RecordingDetail(Manifest):
    """The manifest of a recording, or its state in flight, and beside it what keeps it, which no manifest has.

    `keptUntil` is absent while it is in flight, and where it is kept for ever. `nextTries` is when the timer queues
    each chunk again that isn't safe, by its index. `etag` is for the header of that name, and of what keeps it.
    """

    retention_class: str | None = None
    kept_until: datetime | None = None
    holds: list[Hold] = Field(default_factory=list)
    erasure: AskedErasure | None = None
    next_tries: dict[int, datetime] = Field(default_factory=dict)
    etag: str = Field(exclude=True)


class Catalogue:
    """The recordings in flight and in the archive, looked up as one."""

    def __init__(
        self,
        recordings: RecordingStore,
        starts: StartClaims,
        index: Index,
        keeping: KeepingStore,
        tombstones: Tombstones,
        erasures: ErasureStore,
        *,
        first_requeue: timedelta = FIRST_RESCUE,
    ) -> None:
        self._first_requeue = first_requeue
        self._keeping = keeping
        self._tombstones = tombstones
        self._erasures = erasures
        self._recordings = recordings
        self._starts = starts
        self._index = index

    async def page(self, query: ListQuery, *, url: str = "", people: bool = True) -> RecordingList:
        """List recordings that started in [from, to), newest first; `url` is the address that was asked.

        A list tells how many took part, not who; without `people` nobody can be searched for (Forbidden).
        One request to the index, however many recordings there are. Raises BadRequest for a conversation that is none,
        and for a cursor that isn't of these filters, IndexUnavailable while the index can't be reached.
        """
        if query.participant is not None and not people:
            raise Forbidden("a search for a participant needs a role that sees people", target="participant")
        digests = await self._digests()
        wanted = _search(digests, query)
        token = read_token(digests, wanted, query.cursor) if query.cursor is not None else None
        async with reading_index():
            found = await self._index.page(wanted, limit=query.limit, token=token)
        if found.token is None:
            return RecordingList(recordings=found.summaries)
        cursor = index.write_cursor(digests, wanted, found.token)
        return RecordingList(recordings=found.summaries, cursor=cursor, next_link=next_link(url, query, cursor))

    async def detail(self, key: str, *, people: bool = True) -> RecordingDetail:
        """Return what `get` does, and what keeps the recording; raises as `get` does."""
        found = await self.get(key, people=people)
        kept, steps, tries = await asyncio.gather(
            self._keeping.find(key), self._erasures.steps(layout.key_digest(key)), self._next_tries(found)
        )
        return RecordingDetail.model_validate(
            dict(found)
            | {
                "retention_class": kept.retention_class,
                "kept_until": kept.until(found.archived_at),
                "holds": await self._keeping.holds(kept),
                "erasure": _asked(steps),
                "next_tries": tries,
                "etag": kept.etag,
            }
        )

    async def _next_tries(self, found: Manifest) -> dict[int, datetime]:
        if found.archived_at:
            return {}
        waiting = (one for one in (await self._recordings.load(found.recording_key)).chunks if not one.is_staged)
        return {one.announced.index: one.requeue_at(self._first_requeue) for one in waiting if not one.is_given_up}

    async def get(self, key: str, *, people: bool = True) -> Manifest:
        """Return the manifest of a recording, or its derived state while it is in flight; `people` are left out or not.

        Raises BadRequest for a malformed recording key, NotFound for an unknown one.
        """
        found = await self.require(key)
        described = await self._recordings.described(found) if found.archived_at else found
        return described if people else described.without_people()

    async def _digests(self) -> index.Digests:
        async with reading_index():
            return await self._index.digests()

    async def participant_digest(self, participant: str) -> str:
        """Return the digest under which a participant is found; raises IndexUnavailable as `page` does."""
        return (await self._digests()).participant(participant)

    async def require(self, key: str) -> Manifest:
        """Find a recording in the archive or in flight; raises as `get` does."""
        layout.check_key(key)
        found = await self.find(key)
        if found is None:
            erasure = layout.key_digest(key)
            if await self._tombstones.read(erasure):
                where = f"/v1/erasures/{erasure}"
                raise NotFound(f"this recording was erased: GET {where}", target="recordingKey", code="Erased")
            raise NotFound("there is no recording of this key, neither in flight nor archived", target="recordingKey")
        return found

    async def find(self, key: str) -> Manifest | None:
        """Find a recording in the archive, or else among those in flight."""
        archived = await self._recordings.newest_manifest(key)
        if archived is not None:
            return archived
        recording = await self._recordings.load(key)
        if not recording.events:
            return None
        started = await self._starts.find(recording.recording_id)
        return manifest.write_manifest(recording, archived_at=None, started=started)


def _asked(steps: Steps) -> AskedErasure | None:
    asked = steps.asked if steps.is_open or steps.has_begun else None
    if asked is None:
        return None
    state: Literal["asked", "erasing"] = "asked" if steps.is_open else "erasing"
    return AskedErasure(state=state, asked_at=asked.at, happens_at=asked.happens_at, reason=asked.reason)


@asynccontextmanager
async def reading_index() -> AsyncIterator[None]:
    """Raise IndexUnavailable for what the index raises while it can't be reached."""
    try:
        yield
    except AzureError as failed:
        log.error("index.not_read", reason=describe(failed), next="lists fail; no recording is affected")
        raise IndexUnavailable("the search index can't be reached; recordings are not affected") from None


def _search(digests: index.Digests, query: ListQuery) -> index.Search:
    try:
        return index.search(
            digests,
            since=query.since,
            until=query.until,
            participant=query.participant,
            conversation_id=query.conversation,
            call_id=query.call,
            recording_id=query.recording_id,
            reference=query.reference,
            state=query.state,
            missing=query.missing,
            truncated=query.truncated,
            hold=query.hold,
        )
    except ValueError as bad:
        raise BadRequest(f"conversation: {bad}", target="conversation") from None


def read_token(digests: index.Digests, wanted: index.Bound, cursor: str) -> Any:
    """Read where a search or a list goes on; raises BadRequest for a cursor that isn't of it."""
    try:
        return index.read_cursor(digests, wanted, cursor)
    except ValueError as bad:
        raise BadRequest(f"cursor: {bad}", target="cursor") from None


def next_link(url: str, query: Record, cursor: str) -> str | None:
    """Return the address of the next page: from what was understood of the query, so without a key that stood there."""
    if not url:
        return None
    parts = urlsplit(url)
    asked = query.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True) | {"cursor": cursor}
    return (
        f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode({name: _plain(one) for name, one in asked.items()})}"
    )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
