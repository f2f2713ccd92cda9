"""Four sentences about what was held or erased in a soak run, each checked from outside.

Storage is looked at by a client that sees versions and soft-deleted blobs, the app over HTTP. Names of blobs and
members of records are the documented ones.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from local.soak.watch import ARCHIVE, STAGING, list_blobs

# Answers a GET of a path under /v1, as somebody who may erase: the status and the JSON.
type Get = Callable[[str], Awaitable[tuple[int, Any]]]
# The reasons of certificates that people and the app itself give.
REASON_ASKED, REASON_ENDED = "not-needed", "retention-ended"
# Contradictions of a sentence that are printed.
_MOST_SHOWN = 5


@dataclass
class Sentence:
    """What must be true, what it rests on, and what contradicts it."""

    text: str
    rests_on: str
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the sentence, whether it is true, and what contradicts it."""
        said = f"{'NOT TRUE' if self.wrong else 'True'}: {self.text} ({self.rests_on})."
        return "\n".join([said, *(f"  - {one}" for one in self.wrong[:_MOST_SHOWN])])


@dataclass(frozen=True)
class Done:
    """What was done to a recording: `what`, the emulator's view of it, and its archived blobs when it was held.

    `blobs` has their ETags by name.
    """

    what: str
    recording: Mapping[str, Any]
    blobs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_gone(self) -> bool:
        """Return whether it was to be erased."""
        return self.what != "hold"


async def check(
    blobs: BlobServiceClient, done: Mapping[str, Done], *, deleted: Iterable[str], get: Get
) -> list[Sentence]:
    """Check the four sentences; `deleted` are the keys of the recordings of which an archived blob was deleted."""
    archive, staging = blobs.get_container_client(ARCHIVE), blobs.get_container_client(STAGING)
    held = {key: one for key, one in done.items() if not one.is_gone}
    gone = {key: one for key, one in done.items() if one.is_gone}
    certificates = {key: await newest_certificate(archive, key) for key in done}
    return [
        await _nothing_held_was_deleted(archive, held, certificates),
        await _nothing_erased_has_returned(archive, staging, gone, get),
        await _each_deletion_has_a_record(archive, gone, certificates, deleted=deleted, get=get),
        await _each_record_is_true(archive, gone, certificates),
    ]


async def newest_certificate(archive: ContainerClient, key: str) -> dict[str, Any] | None:
    """Return the newest certificate of a recording's erasure, None if there is none."""
    names = [name async for name in archive.list_blob_names(name_starts_with=f"erasures/{digest(key)}/")]
    names = [name for name in names if "certificate" in name]
    return await _read(archive, max(names)) if names else None


def folder(key: str) -> str:
    """Return the folder of a recording in the archive, with its slash."""
    return f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}/"


def digest(text: str) -> str:
    """Return the digest by which records name something."""
    return hashlib.sha256(text.encode()).hexdigest()


async def _nothing_held_was_deleted(
    archive: ContainerClient, held: Mapping[str, Done], certificates: Mapping[str, Any]
) -> Sentence:
    count = sum(len(one.blobs) for one in held.values())
    found = Sentence("nothing on hold was deleted", f"{len(held)} recordings on hold, all {count} blobs that they had")
    for key, one in held.items():
        there = {blob.name: blob async for blob in archive.list_blobs(folder(key), include=["legalhold"])}
        for name, etag in one.blobs.items():
            if name not in there or str(there[name].etag).strip('"') != etag.strip('"'):
                found.wrong.append(f"{name} is on hold, and was deleted or replaced")
        found.wrong += [f"{name} is not on hold in storage" for name, blob in there.items() if not blob.has_legal_hold]
        if not one.blobs or certificates[key] or await _tombstone(archive, key) is not None:
            found.wrong.append(f"{key} is on hold, and was erased")
    return found


async def _nothing_erased_has_returned(
    archive: ContainerClient, staging: ContainerClient, gone: Mapping[str, Done], get: Get
) -> Sentence:
    found = Sentence("nothing erased has returned", f"{len(gone)} recordings, whose events came again before and after")
    for key in gone:
        there = [one.name async for one in archive.list_blobs(folder(key), include=["versions", "deleted"])]
        there += [one.name async for one in list_blobs(staging, f"{key}/")]
        if there:
            found.wrong.append(f"{key} was to be erased, and {len(there)} blobs or versions are there: {there[0]}")
        status, said = await get(f"recordings/{key}")
        if status != 404 or said.get("code") != "Erased":
            found.wrong.append(f"the app answers {status} {said} for {key}, which was to be erased")
    return found


async def _each_deletion_has_a_record(
    archive: ContainerClient,
    gone: Mapping[str, Done],
    certificates: Mapping[str, Any],
    *,
    deleted: Iterable[str],
    get: Get,
) -> Sentence:
    deleted = set(deleted)
    found = Sentence("every deletion has a record", f"{len(deleted)} recordings of which archived blobs were deleted")
    for key in {*gone, *deleted}:
        if not certificates.get(key) or await _tombstone(archive, key) is None:
            found.wrong.append(f"{key} was to be erased, and has no tombstone or no certificate")
    found.wrong += [f"blobs of {key} were deleted, and nobody asked for it" for key in deleted - gone.keys()]
    listed: set[str] = set()
    path = "erasures?limit=200"
    while path:
        _, page = await get(path)
        listed |= {one["erasureId"] for one in page["erasures"] if one["state"] == "erased"}
        path = f"erasures?limit=200&cursor={page['cursor']}" if page.get("cursor") else ""
    if listed != (wanted := {digest(key) for key in gone}):
        found.wrong.append(f"the app lists {len(listed)} erasures that are done, not the {len(wanted)} of the run")
    return found


async def _each_record_is_true(
    archive: ContainerClient, gone: Mapping[str, Done], certificates: Mapping[str, Any]
) -> Sentence:
    found = Sentence("every record is true", f"{len(gone)} certificates and tombstones, compared with what is there")
    for key, one in gone.items():
        certificate, tombstone = certificates[key], await _tombstone(archive, key)
        if not certificate or not tombstone:
            continue
        chunks = one.recording["chunks"]
        documents = {digest(chunk["documentId"]) for chunk in chunks}
        names = {digest(key), digest(one.recording["recordingId"].rstrip("=")), *documents}
        reason = REASON_ENDED if one.what == "expire" else REASON_ASKED
        there = [blob.name async for blob in archive.list_blobs(folder(key), include=["versions", "deleted"])]
        left = [lies for lies in certificate.get("left", []) if lies["place"] == "archive"]
        said = certificate["removed"].get("chunks", 0)
        times = [certificate["askedAt"], certificate["begunAt"], tombstone["at"], certificate["checkedAt"]]
        times = [datetime.fromisoformat(time) for time in times]
        claims = {
            f"lists {left} as left, and {there[:3]} are there": bool(left) == bool(there),
            f"says that {said} of {len(chunks)} chunks were removed": said == len(chunks),
            f"names {set(certificate['digests']) ^ names}, which it should not, or doesn't": set(certificate["digests"])
            == names,
            f"has the reason {certificate['reason']}, not {reason}": certificate["reason"] == reason,
            f"has times out of order: {times}": times == sorted(times),
        }
        found.wrong += [f"the certificate of {key} {claim}" for claim, is_so in claims.items() if not is_so]
        if tombstone["reason"] != reason or not documents <= set(tombstone["documents"]):
            found.wrong.append(f"the tombstone of {key} is {tombstone}")
    return found


async def _tombstone(archive: ContainerClient, key: str) -> Any:
    return await _read(archive, f"tombstones/{digest(key)}.json")


async def _read(archive: ContainerClient, name: str) -> Any:
    try:
        return json.loads(await (await archive.download_blob(name)).readall())
    except ResourceNotFoundError:
        return None
