"""The only module with a client of Blob Storage.

Staging, archive and derived files (each perhaps in another account), quarantine and dead letters. Facts are created
with `If-None-Match: *` and never changed; a chunk becomes visible by its commit, in staging and, copied by the service,
in the archive.
"""

import asyncio
import contextlib
import hashlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import batched, zip_longest
from secrets import token_hex
from typing import Any, Literal
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobProperties,
    BlobSasPermissions,
    ContentSettings,
    ImmutabilityPolicy,
    generate_blob_sas,
)
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

from recording import crc64, urls
from recording.config.account import StorageAccount
from recording.config.settings import Settings
from recording.errors import NotFound, NotProved, describe
from recording.model.keeping import Protection
from recording.model.proof import ByteRange
from recording.model.stored import Container, ProtectedBlob, StoredBlob, StoredVersion
from recording.telemetry import log
from recording.workers import run_each

# By default the client's pauses begin at 15 s: one failed request would take longer than Event Grid's 30 s
# (docs/functions-host.md#event-grid).
RETRIES: dict[str, Any] = {"retry_total": 4, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
# The length of one read, which is held in memory: that of several beside each other, and the most.
_READ_BYTES, LONGEST_READ = 2 * 1024 * 1024, 4 * 1024 * 1024
_COPY_TRIES = 3
_READ_TRIES = 3
# The clients of blobs that are kept.
_CLIENTS = 64
# Of one block of a copy as it is; a block may have 4,000 MiB.
_COPY_BYTES = 256 * 1024 * 1024
_BLOCKS_AT_ONCE = 4
# The most subrequests of a batch.
_BATCH = 256
_DELETES_AT_ONCE = 16
# Deleted; it was gone already; it has changed.
_DELETED = (202, 404, 412)
# A player uses its link at once; a copy of the largest chunk takes minutes at most.
LINK_LIFE = timedelta(minutes=5)
_COPY_LINK_LIFE = timedelta(hours=1)
_DELEGATION_LIFE = timedelta(hours=6)
_SAME = MatchConditions.IfNotModified
# The error of the service for a body that hasn't the CRC64 of its header.
_OTHER_BYTES = "Crc64Mismatch"
_WITHOUT_VERSIONS = ["snapshots", "deleted", "uncommittedblobs"]
_EVERYTHING = [*_WITHOUT_VERSIONS, "versions", "immutabilitypolicy", "legalhold"]


class CopyFailed(Exception):
    """A copy into the archive can't be made, or isn't right; it is tried again with its recording."""


class CopyDiffers(CopyFailed):
    """The bytes of a copy are not those that were proved of its source."""


class Blobs:
    """The blobs of all containers; close it with `aclose`."""

    def __init__(
        self,
        settings: Settings,
        credential: AsyncTokenCredential | None = None,
        *,
        retries: Mapping[str, Any] = RETRIES,
        link_life: timedelta = LINK_LIFE,
    ) -> None:
        self._link_life = link_life
        staging = _service(settings.staging_storage, credential, **retries)
        archive = _service(settings.archive_storage, credential, **retries)
        # A streamed body can't be sent twice: ingest fetches the block again (docs/measurements.md#streaming).
        self._no_retry = _service(settings.staging_storage, credential, **{**retries, "retry_total": 0})
        self._service_of: dict[Container, BlobServiceClient] = {
            "staging": staging,
            "archive": archive,
            "quarantine": staging,
            "dead_letter": staging,
        }
        if settings.keeps_derived:
            self._service_of["derived"] = _service(settings.derived_storage, credential, **retries)
        self._services = [*{id(one): one for one in self._service_of.values()}.values(), self._no_retry]
        self._containers: dict[Container, ContainerClient] = {
            where: service.get_container_client(getattr(settings, f"{where}_container"))
            for where, service in self._service_of.items()
        }
        stage = self._no_retry.get_container_client(settings.staging_container)
        # Making one costs half as much as a request, and several requests for a blob follow each other.
        self._blob: Callable[[Container, str], BlobClient] = lru_cache(_CLIENTS)(
            lambda where, name: self._containers[where].get_blob_client(name)
        )
        self._stage: Callable[[str], BlobClient] = lru_cache(_CLIENTS)(lambda name: stage.get_blob_client(name))
        self._delegation: dict[Container, tuple[datetime, Any]] = {}

    @property
    def keeps_derived(self) -> bool:
        """Return whether there is a place for derived files: without one no method takes the container `derived`."""
        return "derived" in self._containers

    def require_derived(self) -> None:
        """Raise NotFound, which names the setting, if there is no place for derived files."""
        if not self.keeps_derived:
            raise NotFound(
                "joined files and exports are off: the setting DERIVED_STORAGE names no account", code="DerivedOff"
            )

    async def create_containers(self, *which: Container) -> None:
        """Create the containers (all, if none is named) that don't exist; raises what the client raises."""
        for container in [self._containers[where] for where in which or self._containers]:
            if not await container.exists():
                with contextlib.suppress(ResourceExistsError):  # another process may be faster
                    await container.create_container()

    async def aclose(self) -> None:
        """Close the connections."""
        for service in self._services:
            await service.close()

    async def create(
        self,
        where: Container,
        name: str,
        data: bytes,
        protection: Protection | None = None,
        /,
        *,
        media_type: str = "application/json",
        **metadata: str,
    ) -> bool:
        """Create a blob with its SHA-256; return False, and change nothing, if it exists.

        `media_type` is not called `content_type`: that is a word of the metadata of a chunk. Where the platform refuses
        the `protection`, the blob is created without.
        """
        write = partial(
            self._blob(where, name).upload_blob,
            data,
            metadata={"sha256": hashlib.sha256(data).hexdigest(), **metadata},
            content_settings=ContentSettings(content_type=media_type),
            # The service compares an MD5: unlike the archive copy of a chunk, a fact is not read again.
            validate_content=True,
            overwrite=False,
        )
        try:
            if await _protected(write, protection, name) is None:
                await write()
        except ResourceExistsError:
            return False
        return True

    async def replace(
        self, where: Container, name: str, data: bytes, *, over: StoredBlob | None, **metadata: str
    ) -> bool:
        """Replace the version of a blob that was read; False if it has changed, or may not be replaced.

        Facts are never replaced.
        """
        options: dict[str, Any] = {"content_settings": ContentSettings(content_type="application/json")}
        options |= {"overwrite": True, "etag": over.etag, "match_condition": _SAME} if over else {}
        try:
            await self._blob(where, name).upload_blob(data, metadata=metadata, validate_content=True, **options)
        except (ResourceExistsError, ResourceModifiedError):
            return False
        return True

    async def read(self, where: Container, name: str) -> bytes | None:
        """Return a small blob's bytes; None if it doesn't exist."""
        for _ in range(_READ_TRIES - 1):
            # The client repeats a body that breaks off, but not that of an error: most lookups find nothing.
            with contextlib.suppress(IncompleteReadError):
                return await self._read(where, name)
        return await self._read(where, name)

    async def read_fact(self, where: Container, found: StoredBlob) -> bytes | None:
        """Return the bytes of a blob that never changes; None if it doesn't exist.

        They are read once more if they don't have its SHA-256, since a single read may be wrong; the caller compares.
        """
        data = await self.read(where, found.name)
        if data is None or found.sha256 in (None, hashlib.sha256(data).hexdigest()):
            return data
        return await self.read(where, found.name)

    async def _read(self, where: Container, name: str) -> bytes | None:
        try:
            return await (await self._blob(where, name).download_blob()).readall()
        except ResourceNotFoundError:
            return None

    async def stat(self, where: Container, name: str) -> StoredBlob | None:
        """Return a blob's properties; None if it doesn't exist."""
        try:
            found = await self._blob(where, name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return _stored(found)

    async def list_blobs(
        self, where: Container, prefix: str = "", *, uncommitted: bool = False
    ) -> AsyncIterator[StoredBlob]:
        """List blobs with their metadata and the state of their copy, in the order of their names.

        The `uncommitted` ones, of which only blocks were staged, have no bytes; they are omitted otherwise.
        """
        include = ["metadata", "copy", *(["uncommittedblobs"] if uncommitted else [])]
        async for blob in self._containers[where].list_blobs(name_starts_with=prefix, include=include):
            # An account with a hierarchical namespace also lists its directories, and keeps empty ones.
            if "hdi_isfolder" not in (blob.metadata or {}):
                yield _stored(blob)

    async def page(
        self, where: Container, prefix: str, *, limit: int, token: str | None = None
    ) -> tuple[list[StoredBlob], str | None]:
        """List up to `limit` blobs from `token` on, by one request; return them and where the list goes on, if it does.

        A container that doesn't exist has none.
        """
        listed = self._containers[where].list_blobs(name_starts_with=prefix, results_per_page=limit)
        pages = listed.by_page(continuation_token=token)
        try:
            found = [_stored(blob) async for blob in await anext(pages)]
        except (StopAsyncIteration, ResourceNotFoundError):
            return [], None
        return found, pages.continuation_token or None  # type: ignore[attr-defined]

    async def kept_by(self, where: Container, name: str) -> Literal["versions", "soft delete"] | None:
        """Return which feature of the account still has a blob that was deleted; None if nothing has."""
        listed = self._containers[where].list_blobs(name_starts_with=name, include=["deleted", "versions"])
        async for blob in listed:
            if blob.name == name:
                return "versions" if blob.version_id else "soft delete"
        return None

    async def folders(self, where: Container, prefix: str = "") -> list[str]:
        """List the folders directly below `prefix` (which ends in `/` or is empty), without their slash."""
        walk = self._containers[where].walk_blobs(name_starts_with=prefix, delimiter="/")
        return [entry.name.removeprefix(prefix).rstrip("/") async for entry in walk if entry.name.endswith("/")]

    async def delete(self, where: Container, name: str, *, etag: str | None = None) -> None:
        """Delete a blob if it still has `etag`; do nothing if it is gone or changed."""
        conditions: dict[str, Any] = {"etag": etag, "match_condition": _SAME} if etag else {}
        with contextlib.suppress(ResourceNotFoundError, ResourceModifiedError):
            await self._blob(where, name).delete_blob(**conditions)

    async def delete_each(self, where: Container, blobs: Iterable[StoredBlob]) -> None:
        """Delete blobs in no order, each if it still has its ETag; one request deletes up to 256 of them."""
        container = self._containers[where]
        for some in batched(blobs, _BATCH, strict=False):
            left = [*some]
            if len(some) > 1:
                asked = ({"name": blob.name, "etag": blob.etag or None} for blob in some)
                # Accounts with a hierarchical namespace have no batches: there each is deleted by itself.
                with contextlib.suppress(HttpResponseError):
                    answers = await container.delete_blobs(*asked, raise_on_any_failure=False)
                    codes = [int(answer.status_code) async for answer in answers]
                    left = [blob for blob, code in zip_longest(some, codes) if blob and code not in _DELETED]
            await run_each(lambda one: self.delete(where, one.name, etag=one.etag), left, at_once=_DELETES_AT_ONCE)

    async def read_part(self, where: Container, found: StoredBlob, offset: int, length: int) -> bytes:
        """Read a range of exactly this version of a blob; raises ResourceModifiedError if there is another one."""
        blob = self._blob(where, found.name)
        download = await blob.download_blob(offset, length, etag=found.etag, match_condition=_SAME)
        return await download.readall()

    async def everything(self, where: Container, prefix: str) -> list[StoredVersion]:
        """List all that the account has under a prefix: versions, snapshots, what is soft-deleted or uncommitted.

        An account that knows no versions lists what it has. A container that doesn't exist has nothing.
        """
        container = self._containers[where]
        for included in (_EVERYTHING, _WITHOUT_VERSIONS):
            try:
                return [
                    _version(blob) async for blob in container.list_blobs(name_starts_with=prefix, include=included)
                ]
            except ResourceNotFoundError:
                return []
            except HttpResponseError as failed:
                if failed.status_code != 400 or included is _WITHOUT_VERSIONS:
                    raise
        return []

    async def delete_wholly(self, where: Container, found: StoredVersion) -> bool:
        """Delete a blob with its snapshots, or one of its versions or snapshots; what is soft-deleted for good.

        Return False if it is gone. Raises azure-core's errors: 403 without the role for it, 409 while it is protected,
        or for what can't be deleted for good.
        """
        is_blob = found.is_current and not found.is_deleted
        version = None if is_blob or found.snapshot else found.version_id
        blob = self._containers[where].get_blob_client(found.name, found.snapshot, version_id=version)
        try:
            if found.is_deleted:
                await blob.delete_blob(blob_delete_type="Permanent")
            else:
                await blob.delete_blob(delete_snapshots="include" if is_blob else None)
        except ResourceNotFoundError:
            return False
        return True

    async def drop_policy(self, where: Container, found: StoredVersion) -> None:
        """Delete the policy of a version, which must not be locked; raises azure-core's errors."""
        blob = self._containers[where].get_blob_client(found.name, version_id=found.version_id)
        await blob.delete_immutability_policy()

    async def has_policy(self, where: Container) -> bool:
        """Return whether a container as a whole has a policy or a hold: then no blob of it can be deleted."""
        found = await self._containers[where].get_container_properties()
        is_by_version = bool(found.immutable_storage_with_versioning_enabled)
        return bool(found.has_legal_hold) or (bool(found.has_immutability_policy) and not is_by_version)

    async def discard_blocks(self, where: Container, name: str) -> None:
        """Discard the uncommitted blocks of a blob that doesn't exist: an empty one takes their place, and is gone."""
        blob = self._blob(where, name)
        with contextlib.suppress(ResourceExistsError, ResourceModifiedError):
            await blob.upload_blob(b"", overwrite=False)
            await blob.delete_blob(delete_snapshots="include")

    async def staged_blocks(self, name: str, *, where: Container = "staging") -> dict[str, int]:
        """List the uncommitted blocks of a chunk, or of a joined file: {block id: bytes}."""
        try:
            _, uncommitted = await self._blob(where, name).get_block_list("uncommitted")
        except ResourceNotFoundError:
            return {}
        return {str(block.id): int(block.size or 0) for block in uncommitted}

    async def stage_block(self, name: str, block_id: str, body: AsyncIterator[bytes], *, length: int) -> int | None:
        """Stream one block, and return the CRC64 of the bytes that the service received, if it says that.

        It doesn't if an MD5 was sent (docs/azure-storage.md#checksums-in-answers). Staging an id again replaces the
        block. Not retried: the body can't be sent twice.
        """
        block = self._stage(name)
        answer = await block.stage_block(block_id, body, length=length)  # type: ignore[arg-type]
        return _received(answer)

    async def stage_bytes(self, name: str, block_id: str, data: bytes) -> None:
        """Stage a block of a joined file; the service refuses bytes with another CRC64."""
        header = {"x-ms-content-crc64": crc64.to_header(crc64.crc64(data))}
        await self._blob("derived", name).stage_block(block_id, data, headers=header)

    async def stage_range(self, name: str, block_id: str, link: str, source: StoredBlob, part: ByteRange) -> int | None:
        """Let the service copy a range of this version of a blob as a block of a joined file.

        `link` is that of `copy_link`. Returns the CRC64 of the bytes that the service copied, if it says that; it
        refuses those that haven't the one of `part`. Raises CopyDiffers then, and CopyFailed if the source has changed.
        """
        headers = {"x-ms-source-if-match": source.etag}
        if part.crc64 is not None:
            headers["x-ms-source-content-crc64"] = crc64.to_header(part.crc64)
        block = self._blob("derived", name)
        try:
            answer = await block.stage_block_from_url(block_id, link, part.offset, part.length, headers=headers)
        except HttpResponseError as failed:
            if getattr(failed, "error_code", None) == _OTHER_BYTES:
                what = f"bytes {part.offset} to {part.offset + part.length} of {source.name}"
                raise CopyDiffers(f"{what} are not those that were recorded when the chunk came") from None
            if failed.status_code == 412:
                raise CopyFailed(f"{source.name} has changed; it will be retried") from None
            raise
        return _received(answer)

    async def copy_link(self, where: Container, name: str) -> str:
        """Return a link of an hour with which the service itself reads a blob."""
        return await self._signed(where, name, expiry=datetime.now(UTC) + _COPY_LINK_LIFE)

    async def put_chunk(self, name: str, data: bytes, metadata: dict[str, str], *, crc: int, content_type: str) -> bool:
        """Create a chunk by one request; False if a blob of this name exists already.

        The service refuses bytes with another CRC64 (docs/azure-storage.md#checksums-in-answers): that is NotProved.
        """
        try:
            await self._blob("staging", name).upload_blob(
                data,
                metadata=metadata,
                content_settings=ContentSettings(content_type=content_type),
                headers={"x-ms-content-crc64": crc64.to_header(crc)},
                overwrite=False,
            )
        except (ResourceExistsError, ResourceModifiedError):
            return False
        except HttpResponseError as failed:
            if getattr(failed, "error_code", None) != _OTHER_BYTES:
                raise
            raise NotProved("storage received other bytes of a chunk than were sent") from None
        return True

    async def commit_blocks(
        self,
        name: str,
        block_ids: Sequence[str],
        metadata: dict[str, str],
        *,
        content_type: str,
        where: Container = "staging",
    ) -> bool:
        """Commit a chunk or a joined file from its blocks; False if a blob of this name exists already."""
        try:
            await self._blob(where, name).commit_block_list(
                [BlobBlock(block_id) for block_id in block_ids],
                metadata=metadata,
                content_settings=ContentSettings(content_type=content_type),
                match_condition=MatchConditions.IfMissing,
            )
        except (ResourceExistsError, ResourceModifiedError):
            return False
        return True

    async def read_ranges(
        self,
        where: Container,
        found: StoredBlob,
        *,
        prefetch: int = 1,
        longest: int = _READ_BYTES,
        limit: asyncio.Semaphore | None = None,
    ) -> AsyncIterator[bytes]:
        """Read exactly this version of a blob in order, `prefetch` ranges of 2 MiB at once, each within `limit`.

        Ranges that are `longest` bytes instead, LONGEST_READ at most, cost fewer requests and more memory.

        The speed of a single connection to storage is limited: 1.5 GB at 25 MB/s took 61 s with one range
        after the other, 8 s with eight at once (measured with the sink of the benchmarks).
        """
        blob = self._blob(where, found.name)

        async def read(offset: int) -> bytes:
            async with limit or contextlib.nullcontext():
                length = min(longest, found.size - offset)
                download = await blob.download_blob(offset, length, etag=found.etag, match_condition=_SAME)
                # One piece, unless the service sends less than was asked for; `readall` would copy it once more.
                return b"".join([piece async for piece in download.chunks()])

        offsets = iter(range(0, found.size, longest))
        reading = deque(asyncio.ensure_future(read(offset)) for offset in itertools.islice(offsets, prefetch))
        try:
            while reading:
                piece = await reading.popleft()
                if (following := next(offsets, None)) is not None:
                    reading.append(asyncio.ensure_future(read(following)))
                yield piece
        finally:
            for one in reading:
                one.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def set_metadata(self, name: str, metadata: dict[str, str], *, etag: str) -> None:
        """Write the metadata of a chunk, if it still has `etag`."""
        await self._blob("staging", name).set_blob_metadata(metadata, etag=etag, match_condition=_SAME)

    async def copy_to_archive(
        self,
        source: StoredBlob,
        name: str,
        ranges: Sequence[ByteRange],
        *,
        content_type: str,
        over: StoredBlob | None = None,
        protection: Protection | None = None,
    ) -> StoredBlob | None:
        """Copy a staging blob by the service, range by range, and compare the CRC64 that it answers for each.

        None if nothing was written: there is a blob of this name that isn't `over`, or that may not be replaced. The
        copy has the metadata of its source. Where the platform refuses its `protection`, it is made without, which is
        logged. Raises CopyDiffers for a range that stays another one, or azure-core's errors.
        """
        target = self._blob("archive", name)
        address = await self.copy_link("staging", source.name)
        # Ids of its own, so that a second worker's block never takes the place of one that was compared.
        copy_id = token_hex(8)
        ids = {part: f"{number:06}-{copy_id}" for number, part in enumerate(ranges)}

        async def stage(part: ByteRange) -> None:
            for _ in range(_COPY_TRIES):
                answer = await target.stage_block_from_url(ids[part], address, part.offset, part.length)
                # Without one the reader of the copy compares.
                if part.crc64 is None or _received(answer) in (None, part.crc64):
                    return
            raise CopyDiffers(f"bytes {part.offset} to {part.offset + part.length} of {source.name} differ when copied")

        seen = {"etag": over.etag, "match_condition": _SAME} if over else {"match_condition": MatchConditions.IfMissing}
        try:
            await run_each(stage, ranges, at_once=_BLOCKS_AT_ONCE)
            commit = partial(
                target.commit_block_list,
                [BlobBlock(ids[part]) for part in ranges],
                metadata=dict(source.metadata),
                content_settings=ContentSettings(content_type=content_type),
                **seen,
            )
            done = await _protected(commit, protection, name) or await commit()
        except HttpResponseError as failed:
            if _is_overtaken(failed):
                return None
            raise
        return StoredBlob(name, source.size, _quoted(done["etag"]), source.metadata)

    async def copy_to_derived(self, where: Container, source: StoredBlob, name: str) -> bool:
        """Copy a blob as it is by the service; False if there is one of this name, or another worker was quicker.

        Raises azure-core's errors.
        """
        target = self._blob("derived", name)
        address = await self.copy_link(where, source.name)
        # Ids of its own: blocks of two workers are not mixed.
        copy_id = token_hex(8)
        offsets = range(0, source.size, _COPY_BYTES)
        ids = {offset: f"{number:06}-{copy_id}" for number, offset in enumerate(offsets)}

        async def stage(offset: int) -> None:
            length = min(_COPY_BYTES, source.size - offset)
            await target.stage_block_from_url(ids[offset], address, offset, length)

        try:
            await run_each(stage, offsets, at_once=_BLOCKS_AT_ONCE)
            await target.commit_block_list(
                [BlobBlock(ids[offset]) for offset in offsets],
                content_settings=ContentSettings(content_type=source.content_type),
                match_condition=MatchConditions.IfMissing,
            )
        except HttpResponseError as failed:
            if _is_overtaken(failed):
                return False
            raise
        return True

    async def is_immutable(self) -> bool:
        """Return whether the archive's container has version-level immutability; raises azure-core's errors."""
        found = await self._containers["archive"].get_container_properties()
        return bool(found.immutable_storage_with_versioning_enabled)

    async def protections(self, prefix: str) -> list[ProtectedBlob]:
        """List how the platform protects blobs of the archive, previous versions of them too."""
        listed = self._containers["archive"].list_blobs(
            name_starts_with=prefix, include=["versions", "immutabilitypolicy", "legalhold"]
        )
        return [_protection_of(blob) async for blob in listed]

    async def set_hold(self, blob: ProtectedBlob, hold: bool) -> None:
        """Put a version on the platform's legal hold, or lift it; raises azure-core's errors."""
        await self._blob("archive", blob.name).set_legal_hold(hold, version_id=blob.version_id)

    async def set_policy(self, blob: ProtectedBlob, until: datetime) -> None:
        """Put a version under an unlocked policy; raises azure-core's errors."""
        policy = ImmutabilityPolicy(expiry_time=until, policy_mode="unlocked")
        client = self._blob("archive", blob.name)
        await client.set_immutability_policy(policy, version_id=blob.version_id)

    async def read_link(
        self, where: Container, found: StoredBlob, *, file_name: str, saves: bool, correlation_id: str
    ) -> tuple[str, datetime]:
        """Return a read-only link for five minutes to this version of a blob, and when it ends.

        A browser `saves` the file under its name, or plays it. `correlation_id` stands in the link, and so in the logs
        of storage (docs/azure-storage.md#links).
        """
        expiry = datetime.now(UTC).replace(microsecond=0) + self._link_life
        disposition = f'{"attachment" if saves else "inline"}; filename="{file_name}"'
        link = await self._signed(
            where,
            found.name,
            expiry=expiry,
            version_id=found.version_id,
            correlation_id=correlation_id,
            content_disposition=disposition,
        )
        return link, expiry

    async def _signed(
        self,
        where: Container,
        name: str,
        *,
        expiry: datetime,
        version_id: str | None = None,
        correlation_id: str | None = None,
        **headers: Any,
    ) -> str:
        """Return a link signed with the account's key, or with the identity's user delegation key."""
        blob = self._blob(where, name)
        now = datetime.now(UTC)
        key = getattr(blob.credential, "account_key", None)
        # Only a link that is signed with a delegation key may have a correlation id (docs/azure-storage.md#links).
        traced: dict[str, Any] = {} if key else {"correlation_id": correlation_id}
        signature = generate_blob_sas(
            str(blob.account_name),
            blob.container_name,
            blob.blob_name,
            account_key=key,
            user_delegation_key=None if key else await self._delegation_key(where, now),
            permission=BlobSasPermissions(read=True),
            # Clocks differ by minutes: a link must be valid already by the service's clock.
            start=now - timedelta(minutes=15),
            expiry=expiry,
            version_id=version_id,
            **traced,
            **headers,
        )
        version = f"versionid={quote(version_id)}&" if version_id else ""
        return f"{blob.url}?{version}{signature}"

    async def _delegation_key(self, where: Container, now: datetime) -> Any:
        expiry, key = self._delegation.get(where, (now, None))
        if key is None or expiry - now < 2 * _COPY_LINK_LIFE:
            expiry = now + _DELEGATION_LIFE
            key = await self._service_of[where].get_user_delegation_key(now - timedelta(minutes=15), expiry)
            self._delegation[where] = (expiry, key)
        return key


def _service(account: StorageAccount, credential: AsyncTokenCredential | None, **options: Any) -> BlobServiceClient:
    options |= {"max_single_get_size": LONGEST_READ, "max_chunk_get_size": LONGEST_READ}
    options["use_env_settings"] = urls.names_proxy()
    if account.connection_string is not None:
        return BlobServiceClient.from_connection_string(account.connection_string.get_secret_value(), **options)
    return BlobServiceClient(str(account.blob_uri), credential=credential, **options)


async def _protected(
    commit: Callable[..., Awaitable[dict[str, Any]]], protection: Protection | None, name: str
) -> dict[str, Any] | None:
    """Commit with hold and policy; None if that was refused, for whatever reason: then it is to be done without."""
    asked: dict[str, Any] = {}
    if protection and protection.until:
        asked["immutability_policy"] = ImmutabilityPolicy(expiry_time=protection.until, policy_mode="unlocked")
    if protection and protection.hold:
        asked["legal_hold"] = True
    if not asked:
        return None
    try:
        return await commit(**asked)
    except HttpResponseError as failed:
        if failed.status_code not in (400, 403, 409):
            raise
        # 409 is also the answer where there is a blob of this name: then the second commit says so again.
        if not isinstance(failed, ResourceExistsError):
            log.warning("copy.not_protected", blob=name, reason=describe(failed), next="the archive job asks again")
        return None


def _protection_of(blob: BlobProperties) -> ProtectedBlob:
    policy = blob.immutability_policy
    return ProtectedBlob(
        str(blob.name),
        blob.version_id,
        # Without versions nothing says so.
        is_current=bool(blob.is_current_version) or blob.version_id is None,
        hold=bool(blob.has_legal_hold),
        until=policy.expiry_time if policy else None,
    )


def _stored(blob: BlobProperties) -> StoredBlob:
    copy = blob.copy.status if blob.copy else None
    metadata = dict(blob.metadata or {})
    return StoredBlob(
        str(blob.name),
        int(blob.size),
        _quoted(blob.etag),
        metadata,
        copy_status=copy,
        written_at=blob.last_modified,
        content_type=blob.content_settings.content_type,
        version_id=blob.version_id,
    )


def _version(blob: BlobProperties) -> StoredVersion:
    days, policy = blob.remaining_retention_days, blob.immutability_policy
    is_deleted = bool(blob.deleted)
    return StoredVersion(
        str(blob.name),
        int(blob.size or 0),
        version_id=blob.version_id,
        snapshot=blob.snapshot,
        # Without versions nothing says so, and what is no snapshot is the blob.
        is_current=blob.snapshot is None and (bool(blob.is_current_version) or blob.version_id is None),
        is_deleted=is_deleted,
        gone_at=datetime.now(UTC) + timedelta(days=days) if is_deleted and days is not None else None,
        kept_until=policy.expiry_time if policy else None,
        is_locked=bool(policy and str(policy.policy_mode).lower() == "locked"),
        has_hold=bool(blob.has_legal_hold),
    )


def _received(answer: Mapping[str, Any]) -> int | None:
    """Return the CRC64 of the bytes that the service received, if its answer says that."""
    said = answer.get("content_crc64")
    return crc64.from_bytes(bytes(said)) if said else None


def _is_overtaken(failed: HttpResponseError) -> bool:
    """Return whether a commit came too late: another one has removed its blocks, or there is a blob by now.

    See docs/azure-storage.md#uploads; that blob may be protected (docs/azure-storage.md#immutability).
    """
    return failed.status_code in (409, 412) or getattr(failed, "error_code", None) == "InvalidBlockList"


def _quoted(etag: object) -> str:
    """Return an ETag with the quotes that it has in headers (RFC 9110, 8.8.3); a listing has it without."""
    return '"' + str(etag).strip('"') + '"'
