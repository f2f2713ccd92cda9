"""Use case: an export of what there is about a person, for whoever asks under article 15 of the GDPR.

It is asked for on record, made by a queue job, and handed out on record, by links of five minutes. Everything of it is
in one folder among the derived files, which expire. The job may be killed anywhere: it looks what is there, and goes
on; what it is of was settled before anything was collected, and the last write says that it is ready.

An erased recording is in no export: erasing removes every export that has it (`erase`). A job that is at work looks for
the tombstone after each write of something of a recording, so that one of the two sees the other.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from uuid import uuid4

from azure.core.exceptions import AzureError
from pydantic import BaseModel, ValidationError

from recording.clock import Clock, utc_now
from recording.errors import BadRequest, NotFound, StorageUnavailable, describe
from recording.model import export_page, layout
from recording.model.caller import Caller
from recording.model.export import (
    About,
    ExportAccepted,
    ExportAsked,
    ExportDone,
    ExportedRecording,
    ExportLink,
    ExportQuery,
    ExportRequest,
    ExportView,
    Found,
    Others,
    Progress,
    export_id,
)
from recording.model.job import ExportJob
from recording.model.stored import Container, StoredBlob
from recording.people.collect import Collector, Source
from recording.people.find import PersonFinder
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.storage.trail import Trail
from recording.telemetry import log
from recording.workers import run_each

# Below `functionTimeout` (host.json); what isn't done by then is queued again.
BUDGET_SECONDS = 25 * 60.0
_LINKS = 200
_AT_ONCE = 8
_PAGE, _DATA = "index.html", "export.json"


class _Erased(Exception):
    """A recording of the export was erased meanwhile, or the export itself was removed: nothing of it may stay."""


@dataclass(frozen=True)
class Exports:
    """Asks for exports, makes them, hands them out and removes them.

    `most` is what may be shown of others. `is_erased` says whether the erasure of a recording has begun.
    """

    blobs: Blobs
    finder: PersonFinder
    collector: Collector
    trail: Trail
    queue: Queue
    most: Others
    days: float
    is_erased: Callable[[str], Awaitable[bool]]
    clock: Clock = utc_now
    budget_seconds: float = BUDGET_SECONDS

    async def ask(self, caller: Caller, body: ExportRequest) -> ExportAccepted:
        """Ask for an export, on record first; a request with the same repeat key asks for it once.

        Raises NotFound while there is no place for derived files, BadRequest for others that may not be shown and for a
        repeat key of another request, TrailUnavailable, StorageUnavailable, IndexUnavailable.
        """
        self.blobs.require_derived()
        if body.others == "shown" and self.most == "masked":
            raise BadRequest("others: they are masked in all exports (EXPORT_OTHERS=masked)", target="others")
        now = self.clock()
        principal, key = caller.principal, caller.repeat_key
        owner = principal.object_id if principal else ""
        asked = ExportAsked(
            export_id=export_id(owner, key.value) if key else secrets.token_hex(16),
            participant=body.participant,
            reason=body.reason,
            files=body.files,
            others=body.others or self.most,
            at=now,
            expires_at=now + timedelta(days=self.days),
        )
        async with _reading():
            known = await self._asked(asked.export_id)
        if known and not known.wants_the_same(asked):
            raise BadRequest("this key was already used for a different request; use a new key", target="repeat key")
        if known is None:
            entry = await self.trail.write(
                caller,
                action="export",
                reason=body.reason,
                details={
                    "export": asked.export_id,
                    "participant": await self._digest(body.participant),
                    "files": asked.files,
                    "others": asked.others,
                },
            )
            # What is on the trail until then is in the export: that it was asked for, too.
            asked = asked.model_copy(update={"at": entry.at})
        async with _reading():
            await self._create(asked.export_id, "asked", asked)
            # A message for one that is ready changes nothing; that of one that was given up begins it again.
            await self.queue.send(ExportJob(export_id=asked.export_id).to_message())
        return ExportAccepted(export_id=asked.export_id, expires_at=(known or asked).expires_at)

    async def view(self, caller: Caller, export: str, query: ExportQuery) -> ExportView:
        """Return the state of an export, with links once it is ready: these are on record before they are handed out.

        Raises NotFound for one that is unknown, has expired, or was removed since a recording of it was erased.
        """
        self.blobs.require_derived()
        if not layout.is_export_id(export):
            raise NotFound("there is no export of this id", target="exportId")
        async with _reading():
            asked = await self._asked(export)
            if asked is None or asked.expires_at <= self.clock():
                if asked:
                    await self._remove(export)
                raise NotFound("there is no export of this id: it has expired, or was removed", target="exportId")
            found = await self._read(Found, layout.person_export_blob(export, "found"))
            done = await self._read(ExportDone, layout.person_export_blob(export, "done"))
            parts = [name async for name in self._names(f"{layout.person_export_folder(export)}recordings/")]
            view = ExportView(
                export_id=export,
                state="ready" if done else "making",
                asked_at=asked.at,
                expires_at=asked.expires_at,
                files=asked.files,
                others=asked.others,
                looked_up_to=None if found else await self._looked_up_to(export),
                recordings=len(found.keys) if found else None,
                recordings_done=len(parts),
                unreadable=len(found.unreadable) if found else 0,
            )
            if done is None or found is None:
                return view
            correlation_id = str(uuid4())
            try:
                links, following = await self._links(asked, found, query.after or "", correlation_id)
            except _Erased:
                raise NotFound("there is no export of this id: it was removed", target="exportId") from None
        details: dict[str, str | int | bool | list[str] | list[int]] = {
            "export": export,
            "participant": await self._digest(asked.participant),
        }
        await self.trail.write(caller, action="export", correlation_id=correlation_id, details=details)
        return view.model_copy(update={"links": links, "next": following})

    async def run(self, export: str) -> None:
        """Make an export, or go on with it: the job of a message; what it raises makes the queue try again.

        What can't be done within `budget_seconds` is queued again.
        """
        if not self.blobs.keeps_derived:
            log.error("export.not_made", export=export, next="nothing: DERIVED_STORAGE is not set any more")
            return
        try:
            async with asyncio.timeout(self.budget_seconds) as limit:
                await self._make(export)
        except _Erased:
            await self._remove(export)
            log.warning("export.removed", export=export, next="nothing: it has expired, or a recording was erased")
        except TimeoutError:
            if not limit.expired():
                raise
            log.info("export.continues", export=export, next="it is queued again, and continues from there")
            await self.queue.send(ExportJob(export_id=export).to_message())

    async def erase(self, key: str) -> int:
        """Remove every export that has something of a recording, and return how many; raises azure-core's errors.

        To be called after the tombstone of the recording is written. A removed export must be asked for again.
        """
        having = await self._having(key)
        await run_each(self._remove, sorted(having), at_once=_AT_ONCE)
        return len(having)

    async def folders(self, key: str) -> list[str]:
        """Name the folders of the exports that have something of a recording; raises azure-core's errors."""
        return [layout.person_export_folder(export) for export in sorted(await self._having(key))]

    async def _having(self, key: str) -> set[str]:
        if not self.blobs.keeps_derived:
            return set()
        names = [name async for name in self._names(f"{layout.PERSON_EXPORTS}/")]
        having = layout.exports_with(names, key)
        for export in {layout.export_of(name) for name in names} - having - {None}:
            # One that has been settled and not collected yet names it as well.
            found = await self._read(Found, layout.person_export_blob(str(export), "found"))
            if found and key in found.keys:
                having.add(str(export))
        return having

    async def _make(self, export: str) -> None:
        asked = await self._asked(export)
        if asked is None or asked.expires_at <= self.clock():
            raise _Erased
        if await self._read(ExportDone, layout.person_export_blob(export, "done")):
            return
        found = await self._read(Found, layout.person_export_blob(export, "found")) or await self._find(asked)
        await run_each(lambda key: self._part(asked, key), found.keys, at_once=_AT_ONCE)
        parts = [await self._require(ExportedRecording, layout.person_export_part_blob(export, k)) for k in found.keys]
        about = await self._read(About, layout.person_export_blob(export, "about"))
        if about is None:
            await self._create(export, "about", await self.collector.about(asked))
            about = await self._require(About, layout.person_export_blob(export, "about"))
        await self._write_whole(asked, found, parts, about)
        done = ExportDone(
            at=self.clock(),
            recordings=sum(one.manifest is not None for one in parts),
            files=sum(len(one.files) for one in parts),
            unreadable=len(found.unreadable),
        )
        await self._create(export, "done", done)
        await self._check(asked, found)
        log.info(
            "export.ready", export=export, recordings=done.recordings, files=done.files, unreadable=done.unreadable
        )

    async def _find(self, asked: ExportAsked) -> Found:
        """Settle which recordings an export is of: by every manifest, not by the index, and what is in flight."""
        export = asked.export_id
        before = [one async for one in self._progress(export)]
        keys = {key for one in before for key in one.found}
        unreadable = {key for one in before for key in one.unreadable}
        numbers = count(len(before))
        # What is in flight first: what is archived in the meantime is met behind it. It is noted, since a later try
        # finds it neither in flight nor, if its key is an earlier one, behind the last that it has looked at.
        in_flight = await self.finder.in_flight(asked.participant)
        if not before:
            first = Progress(last_key="", found=tuple(sorted(in_flight)), unreadable=())
            await self._create_blob(layout.person_export_progress_blob(export, next(numbers)), first)
        keys |= set(in_flight)
        async for one in self.finder.archived(asked.participant, after=before[-1].last_key or None if before else None):
            await self._create_blob(layout.person_export_progress_blob(export, next(numbers)), one)
            keys |= set(one.found)
            unreadable |= set(one.unreadable)
        kept = [key for key in sorted(keys - unreadable) if not await self.is_erased(key)]
        await self._create(export, "found", Found(keys=tuple(kept), unreadable=tuple(sorted(unreadable))))
        return await self._require(Found, layout.person_export_blob(export, "found"))

    async def _part(self, asked: ExportAsked, key: str) -> None:
        """Collect what there is of one recording, and copy its files where copies are wanted."""
        name = layout.person_export_part_blob(asked.export_id, key)
        part = await self._read(ExportedRecording, name)
        if part is None:
            source = await self.collector.source(key)
            part = await self.collector.recording(asked, key, source, self.clock())
            if source and asked.files == "copies":
                await self._copy(asked, source)
            await self._create_blob(name, part)
        await self._check(asked, Found(keys=(key,)))

    async def _copy(self, asked: ExportAsked, found: Source) -> None:
        key = found.manifest.recording_key

        async def copy(one: tuple[str, str]) -> None:
            source, target = one
            blob = await self.blobs.stat(found.where, source)
            if blob is None:
                # It was archived just now, or erased: the next try looks where it is.
                raise StorageUnavailable("a file of the export has moved; the queue tries again")
            await self.blobs.copy_to_derived(found.where, blob, target)

        wanted = [
            (entry.content.blob, layout.person_export_file_blob(asked.export_id, key, entry.file_name(key)))
            for entry in found.manifest.chunks
            if entry.content
        ]
        await run_each(copy, wanted, at_once=_AT_ONCE)

    async def _check(self, asked: ExportAsked, found: Found) -> None:
        """Raise _Erased if a recording of the export has a tombstone by now, or the export was removed."""
        if await self._asked(asked.export_id) is None:
            raise _Erased
        for key in found.keys:
            if await self.is_erased(key):
                raise _Erased

    async def _write_whole(
        self, asked: ExportAsked, found: Found, parts: list[ExportedRecording], about: About
    ) -> None:
        data = export_page.write_data(asked, found, parts, about)
        await self.blobs.create("derived", layout.person_export_blob(asked.export_id, "export"), data)
        page = export_page.render(asked, found, parts, about)
        name = layout.person_export_page_blob(asked.export_id)
        await self.blobs.create("derived", name, page, media_type="text/html; charset=utf-8")

    async def _links(
        self, asked: ExportAsked, found: Found, after: str, correlation_id: str
    ) -> tuple[list[ExportLink], str | None]:
        """Make links to the files of an export behind a name; also return the name behind which they go on."""
        folder, behind = layout.person_export_folder(asked.export_id), _place(after)
        places: dict[str, tuple[Container, str]] = {one: ("derived", f"{folder}{one}") for one in (_DATA, _PAGE)}
        for key in found.keys:
            if _place(f"files/{key}/~") <= behind:
                continue
            if sum(_place(name) > behind for name in places) > _LINKS:
                break
            if asked.files == "copies":
                part = await self._require(ExportedRecording, layout.person_export_part_blob(asked.export_id, key))
                places |= {one.copied: ("derived", f"{folder}{one.copied}") for one in part.files if one.copied}
            elif source := await self.collector.source(key):
                places |= {
                    f"files/{key}/{entry.file_name(key)}": (source.where, entry.content.blob)
                    for entry in source.manifest.chunks
                    if entry.content
                }
        left = sorted((name for name in places if _place(name) > behind), key=_place)
        page = left[:_LINKS]
        links: list[ExportLink] = []
        for name in page:
            where, blob = places[name]
            there = await self.blobs.stat(where, blob)
            if there:
                links.append(await self._link(name, where, there, correlation_id))
        return links, page[-1] if len(left) > len(page) else None

    async def _link(self, name: str, where: Container, there: StoredBlob, correlation_id: str) -> ExportLink:
        # Saved, not shown: the page has what people said, and no address of this app.
        saved = name.rpartition("/")[2]
        url, expires_at = await self.blobs.read_link(
            where, there, file_name=saved, saves=True, correlation_id=correlation_id
        )
        return ExportLink(name=name, url=url, expires_at=expires_at, bytes=there.size)

    async def _remove(self, export: str) -> None:
        """Delete everything of an export, what says that it was asked for first: nobody adds to it after that."""
        await self.blobs.delete("derived", layout.person_export_blob(export, "asked"))
        listed = [blob async for blob in self.blobs.list_blobs("derived", layout.person_export_folder(export))]
        await self.blobs.delete_each("derived", listed)

    async def _asked(self, export: str) -> ExportAsked | None:
        return await self._read(ExportAsked, layout.person_export_blob(export, "asked"))

    async def _looked_up_to(self, export: str) -> str | None:
        progress = [one async for one in self._progress(export)]
        return progress[-1].last_key or None if progress else None

    async def _progress(self, export: str) -> AsyncIterator[Progress]:
        async for name in self._names(f"{layout.person_export_folder(export)}found/"):
            if one := await self._read(Progress, name):
                yield one

    async def _names(self, prefix: str) -> AsyncIterator[str]:
        async for blob in self.blobs.list_blobs("derived", prefix):
            yield blob.name

    async def _read[Model: BaseModel](self, model: type[Model], name: str) -> Model | None:
        text = await self.blobs.read("derived", name)
        return model.model_validate_json(text) if text else None

    async def _require[Model: BaseModel](self, model: type[Model], name: str) -> Model:
        """Read what this job, or one before it, has written; raises _Erased if it was removed."""
        found = await self._read(model, name)
        if found is None:
            raise _Erased
        return found

    async def _create(self, export: str, name: str, fact: BaseModel) -> None:
        await self._create_blob(layout.person_export_blob(export, name), fact)

    async def _create_blob(self, name: str, fact: BaseModel) -> None:
        await self.blobs.create("derived", name, fact.model_dump_json(by_alias=True).encode())

    async def _digest(self, participant: str) -> str:
        async with _reading():
            return (await self.finder.index.digests()).participant(participant)


def _place(name: str) -> tuple[bool, str]:
    """Return where a file stands in the list: the page and the data come first."""
    return name.startswith("files/"), name


@asynccontextmanager
async def _reading() -> AsyncIterator[None]:
    """Raise StorageUnavailable for what storage raises while it can't be reached."""
    try:
        yield
    except (AzureError, TimeoutError, ValidationError) as failed:
        log.error("export.storage_failed", reason=describe(failed), next="the caller gets a 503, and tries again")
        raise StorageUnavailable("storage can't be reached now; try again") from None
