"""Versions, soft delete, holds and policies in front of Azurite, which ignores all of them.

A version that is current no longer lies in a container of its own behind the relay. Only the calls that the app makes
are here: batches are refused, and lists with versions have no delimiter.
"""

import asyncio
import fnmatch
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from local.acs import bodies
from local.faults.body import UNANSWERED
from local.storage_faults import VERSION, StorageCall, error_answer
from local.storage_relay import Exchange, Touch, swallow
from local.storage_versions import (
    BadRange,
    BadRequest,
    BadSignature,
    Keeping,
    Kept,
    NoBlob,
    NotMet,
    Refusal,
    Version,
    asked_hold,
    asked_policy,
    born,
    changed_policy,
    check_delete,
    check_plain_delete,
    http_date,
    require,
    version_id,
)

Forward = Callable[[Touch | None], Awaitable[web.StreamResponse]]
_WRITES = ("PutBlob", "PutBlockList", "CopyBlob", "SetBlobMetadata")
_READS = ("GetBlob", "GetBlobProperties")
_PROTECTIONS = ("SetBlobLegalHold", "SetBlobImmutabilityPolicy", "DeleteBlobImmutabilityPolicy")
_SPECIAL = frozenset({"versions", "deleted", "deletedwithversions", "immutabilitypolicy", "legalhold"})
# Where the bytes of previous versions are.
SAVED = "kept-versions"
_MOST_IN_LIST = 5000


class Versioned:
    """Keeps versions in front of an Azurite, where `keeping` says so; close it with `aclose`."""

    def __init__(self, connection_string: str) -> None:
        self.keeping: Keeping | None = None
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._service = BlobServiceClient.from_connection_string(connection_string, use_env_settings=False)
        self._kept: defaultdict[str, Kept] = defaultdict(Kept)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers = itertools.count()
        self._has_saved = False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def serve(
        self, request: web.Request, call: StorageCall, exchange: Exchange, forward: Forward
    ) -> web.StreamResponse:
        """Answer a request, or forward it; `forward` takes what changes the headers of its answer."""
        keeping = self._of(call)
        if keeping is None:
            return await forward(None)
        try:
            answer = await self._serve(request, call, keeping, forward)
        except Refusal as refused:
            answer = error_answer(refused.status, code=refused.code, method=request.method)
        if isinstance(answer, web.Response) and not answer.prepared and UNANSWERED not in request:
            with suppress(ConnectionError):
                await swallow(request, exchange)
            answer.headers.setdefault("x-ms-version", VERSION)
            exchange.status = answer.status
        return answer

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the control plane: ``/keeping``, with GET, PUT and DELETE."""

        async def show(_: web.Request) -> web.Response:
            rules = self.keeping.model_dump(by_alias=True) if self.keeping else None
            return web.json_response({"keeping": rules, "blobs": len(self._kept)})

        async def keep(request: web.Request) -> web.Response:
            self.keeping = await bodies.read(request, Keeping)
            return await show(request)

        async def stop(request: web.Request) -> web.Response:
            self.keeping = None
            return await show(request)

        return [
            web.get(prefix + "/keeping", show, allow_head=False),
            web.put(prefix + "/keeping", keep),
            web.delete(prefix + "/keeping", stop),
        ]

    def _of(self, call: StorageCall) -> Keeping | None:
        container = call.path.strip("/").split("/")[1:2]
        if self.keeping is None or call.service != "blob" or not container:
            return None
        return self.keeping if fnmatch.fnmatchcase(container[0], self.keeping.containers) else None

    async def _serve(
        self, request: web.Request, call: StorageCall, keeping: Keeping, forward: Forward
    ) -> web.StreamResponse:
        wanted = call.query.get("versionid")
        if call.operation == "ListBlobs":
            included = set(call.query.get("include", "").split(","))
            return await self._list(call, included) if included & _SPECIAL else await forward(None)
        if call.operation == "GetContainerProperties":
            return await forward(_describing(keeping))
        if call.operation == "BlobBatch":
            raise BadRequest
        if call.operation in _WRITES:
            async with self._alone(call):
                return await self._write(request, call, keeping, forward)
        if call.operation == "DeleteBlob" and wanted:
            async with self._alone(call) as kept:
                return await self._delete_version(call, keeping, kept, wanted)
        if call.operation == "DeleteBlob":
            async with self._alone(call) as kept:
                check_plain_delete(keeping, kept.current, self.clock())
                return await self._replace(call, keeping, forward, lambda: None)
        if call.operation in _PROTECTIONS:
            async with self._alone(call) as kept:
                return self._protect(request, call, keeping, kept)
        if call.operation in _READS and wanted:
            async with self._alone(call) as kept:
                version = kept.find(wanted)
            if version.deleted_at:
                raise NoBlob
            if call.query.get("sr") == "bv":
                # Azurite doesn't know a link to a version.
                self._check_link(call, wanted)
                return await self._read(request, version, call)
            return await (self._read(request, version, call) if version.saved else forward(_adding(version)))
        known = self._kept.get(call.path) if call.operation in _READS else None
        return await forward(_adding(known.current) if known and known.current else None)

    @asynccontextmanager
    async def _alone(self, call: StorageCall) -> AsyncIterator[Kept]:
        """Take turns at a blob, and know its current version, also of one that was written before `keeping` was set."""
        async with self._locks[call.path]:
            kept = self._kept[call.path]
            if not kept.is_known:
                found = await self._look(call.path)
                if found is None:
                    kept.current = None
                elif kept.current is None:
                    kept.current = Version(self._new_id())
                kept.is_known = True
            yield kept

    async def _write(
        self, request: web.Request, call: StorageCall, keeping: Keeping, forward: Forward
    ) -> web.StreamResponse:
        before = self._kept[call.path].current
        refusal = before.refusal(self.clock()) if before else None
        if refusal and (call.operation == "SetBlobMetadata" or not keeping.versions):
            raise refusal
        made = born(keeping, request.headers, self._new_id(), self.clock())
        return await self._replace(call, keeping, forward, lambda: made)

    async def _replace(
        self, call: StorageCall, keeping: Keeping, forward: Forward, following: Callable[[], Version | None]
    ) -> web.StreamResponse:
        """Forward what replaces or deletes the current version, which is kept where the account keeps it."""
        kept = self._kept[call.path]
        before, is_soft = kept.current, bool(keeping.soft_delete_days)
        if before and (keeping.versions or is_soft):
            await self._save(call.path, before)

        async def touch(status: int, headers: Any) -> None:
            kept.is_known = True
            if status >= 300:
                return
            kept.current = following()
            if before and before.saved:
                if not keeping.versions:
                    before.delete(self.clock(), keeping.soft_delete_days)
                kept.previous.append(before)
            if call.operation == "DeleteBlob":
                headers["x-ms-delete-type-permanent"] = "false" if before and before.saved else "true"
            elif kept.current and kept.current.id:
                headers["x-ms-version-id"] = kept.current.id

        # Without an answer Azurite may have done it or not.
        kept.is_known = False
        answer = await forward(touch)
        if before and before is kept.current:
            await self._forget(before)
        return answer

    async def _delete_version(self, call: StorageCall, keeping: Keeping, kept: Kept, wanted: str) -> web.StreamResponse:
        version, permanently = kept.find(wanted), call.query.get("deletetype", "").lower() == "permanent"
        check_delete(keeping, kept, version, self.clock(), permanently=permanently)
        if version is kept.current:
            await self._save(call.path, version)
            await self._blob(call.path).delete_blob(delete_snapshots="include")
            kept.current = None
            kept.previous.append(version)
        is_final = permanently or not keeping.soft_delete_days
        if is_final:
            kept.previous.remove(version)
            await self._forget(version)
        else:
            version.delete(self.clock(), keeping.soft_delete_days)
        return web.Response(status=202, headers={"x-ms-delete-type-permanent": str(is_final).lower()})

    def _protect(self, request: web.Request, call: StorageCall, keeping: Keeping, kept: Kept) -> web.Response:
        wanted = call.query.get("versionid")
        version = kept.find(wanted) if wanted else kept.current
        if version is None or version.deleted_at:
            raise NoBlob
        if not keeping.immutability:
            raise Refusal
        if call.operation == "SetBlobLegalHold":
            require(keeping, "hold")
            version.hold = asked_hold(request.headers)
            return web.Response(headers={"x-ms-legal-hold": str(version.hold).lower()})
        require(keeping, "policy")
        asked = asked_policy(request.headers) if request.method == "PUT" else None
        version.policy = changed_policy(version.policy, asked, self.clock())
        return web.Response(headers=version.headers())

    def _check_link(self, call: StorageCall, wanted: str) -> None:
        """Raise BadSignature if a link to a version has ended, or has another signature than Microsoft's library."""
        blob, said = self._blob(call.path), call.query
        signed = generate_blob_sas(
            str(blob.account_name),
            blob.container_name,
            blob.blob_name,
            account_key=blob.credential.account_key,
            permission=said.get("sp"),
            start=said.get("st"),
            expiry=said.get("se"),
            version_id=wanted,
            content_disposition=said.get("rscd"),
        )
        has_ended = datetime.fromisoformat(said.get("se", "2000-01-01T00:00:00Z")) < datetime.now(UTC)
        if has_ended or parse_qs(signed)["sig"] != [said.get("sig")]:
            raise BadSignature

    async def _read(self, request: web.Request, version: Version, call: StorageCall) -> web.Response:
        """Answer with a version, or a range of it."""
        found = version.properties if version.saved else await self._look(call.path)
        if found is None:
            raise NoBlob
        if request.headers.get("If-Match", found.etag) != found.etag:
            raise NotMet
        headers = {
            "ETag": str(found.etag),
            "Last-Modified": http_date(found.last_modified),
            "x-ms-creation-time": http_date(found.creation_time or found.last_modified),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-version-id": version.id,
            "Accept-Ranges": "bytes",
            "Content-Type": str(found.content_settings.content_type or "application/octet-stream"),
            **{f"x-ms-meta-{name}": value for name, value in (found.metadata or {}).items()},
            **version.headers(),
        }
        if "rscd" in call.query:
            headers["Content-Disposition"] = call.query["rscd"]
        if request.method == "HEAD":
            return web.Response(headers=headers | {"Content-Length": str(found.size)})
        path = f"/account/{SAVED}/{version.saved}" if version.saved else call.path
        data = await (await self._blob(path).download_blob()).readall()
        asked = request.headers.get("x-ms-range") or request.headers.get("Range")
        if not asked:
            return web.Response(body=data, headers=headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = min(int(last) + 1 if last else len(data), len(data))
        if int(first) >= len(data):
            raise BadRange
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
        return web.Response(status=206, body=data[int(first) : end], headers=headers)

    async def _list(self, call: StorageCall, included: set[str]) -> web.Response:
        """List blobs with what `included` names, the versions of each blob from the oldest on."""
        prefix, container = call.query.get("prefix", ""), call.path.strip("/").split("/")[1]
        if "delimiter" in call.query:
            raise BadRequest
        folder, client = f"{call.path.rstrip('/')}/", self._service.get_container_client(container)
        now, entries = self.clock(), list[tuple[str, str, str]]()
        committed: set[str] = set()
        async for found in client.list_blobs(prefix, include=["metadata"]):
            path = folder + found.name
            if current := self._kept[path].current or await self._look_again(path):
                committed.add(found.name)
                entries.append((found.name, current.id, _entry(found.name, current, found, now, is_current=True)))
        if azurites := sorted(included & {"snapshots", "uncommittedblobs"}):
            async for found in client.list_blobs(prefix, include=azurites):
                if found.snapshot or found.name not in committed:
                    text = _entry(found.name, Version(""), found, now, is_current=False)
                    entries.append((found.name, str(found.snapshot or ""), text))
        for path, kept in self._kept.items():
            name = path.removeprefix(folder)
            if path.startswith(folder) and name.startswith(prefix):
                entries += [
                    (name, one.id, _entry(name, one, one.properties, now, is_current=False))
                    for one in kept.previous
                    if ("deleted" in included and one.days_left(now) if one.deleted_at else "versions" in included)
                ]
        entries.sort()
        start, most = int(call.query.get("marker") or 0), int(call.query.get("maxresults") or _MOST_IN_LIST)
        following = str(start + most) if start + most < len(entries) else ""
        text = "".join(entry for _, _, entry in entries[start : start + most])
        return web.Response(
            content_type="application/xml",
            text=f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{escape(container)}">'
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{text}</Blobs><NextMarker>{following}</NextMarker>"
            "</EnumerationResults>",
        )

    async def _look_again(self, path: str) -> Version | None:
        """Return the version of what Azurite has listed; None if it was deleted since, and not written past this."""
        async with self._locks[path]:
            kept = self._kept[path]
            if kept.current is None and await self._look(path):
                kept.current = Version(self._new_id())
            return kept.current

    async def _look(self, path: str) -> BlobProperties | None:
        try:
            return await self._blob(path).get_blob_properties()
        except ResourceNotFoundError:
            return None

    async def _save(self, path: str, version: Version) -> None:
        """Copy the bytes of the current version aside, with its properties."""
        if not self._has_saved:
            with suppress(ResourceExistsError):
                await self._service.create_container(SAVED)
            self._has_saved = True
        version.saved, version.properties = uuid4().hex, await self._look(path)
        copy = self._service.get_blob_client(SAVED, version.saved)
        await copy.start_copy_from_url(self._blob(path).url)

    async def _forget(self, version: Version) -> None:
        if version.saved:
            await self._service.get_blob_client(SAVED, version.saved).delete_blob()
            version.saved = None

    def _new_id(self) -> str:
        """Return an id for a new version; without versions there is none."""
        return version_id(self.clock(), next(self._numbers)) if self.keeping and self.keeping.versions else ""

    def _blob(self, path: str) -> BlobClient:
        container, name = path.strip("/").split("/", 2)[1:]
        return self._service.get_blob_client(container, name)


def _describing(keeping: Keeping) -> Touch:
    async def touch(_: int, headers: Any) -> None:
        headers["x-ms-immutable-storage-with-versioning-enabled"] = str(keeping.immutability).lower()

    return touch


def _adding(version: Version) -> Touch:
    async def touch(status: int, headers: Any) -> None:
        if status < 300:
            headers.update(version.headers())
            if version.id:
                headers.update({"x-ms-version-id": version.id, "x-ms-is-current-version": "true"})

    return touch


def _entry(name: str, version: Version, found: BlobProperties, now: datetime, *, is_current: bool) -> str:
    """Return a blob of a list, as XML."""
    deleted = version.deleted_at
    properties: Mapping[str, str | None] = {
        "Creation-Time": http_date(found.creation_time or found.last_modified),
        "Last-Modified": http_date(found.last_modified),
        "Etag": str(found.etag).strip('"'),
        "Content-Length": str(found.size),
        "Content-Type": found.content_settings.content_type or "application/octet-stream",
        "BlobType": "BlockBlob",
        "ImmutabilityPolicyUntilDate": http_date(version.policy.until) if version.policy else None,
        "ImmutabilityPolicyMode": ("locked" if version.policy.locked else "unlocked") if version.policy else None,
        "LegalHold": "true" if version.hold else None,
        "DeletedTime": http_date(deleted) if deleted else None,
        "RemainingRetentionDays": str(version.days_left(now)) if deleted else None,
    }
    parts = [f"<Name>{escape(name)}</Name>"]
    parts += ["<Deleted>true</Deleted>"] if deleted else []
    parts += [f"<Snapshot>{found.snapshot}</Snapshot>"] if found.snapshot else []
    parts += [f"<VersionId>{version.id}</VersionId>"] if version.id else []
    parts += ["<IsCurrentVersion>true</IsCurrentVersion>"] if is_current else []
    parts += ["<Properties>", *(_element(n, v) for n, v in properties.items() if v is not None), "</Properties>"]
    parts += ["<Metadata>", *(_element(n, v) for n, v in (found.metadata or {}).items()), "</Metadata>"]
    return f"<Blob>{''.join(parts)}</Blob>"


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"
