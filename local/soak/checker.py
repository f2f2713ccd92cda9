"""The independent check of a soak run: the archive is compared with what the emulator serves, byte by byte.

Nothing is shared with the app's code; names of blobs and members of the manifest are the documented ones.
"""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from awscrt.checksums import crc64nvme
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from local.soak.source import Part, Source
from local.soak.watch import ARCHIVE, QUARANTINE, SETTLING, STAGING, key_of, list_blobs, read_manifest

PARALLEL = 4
_DATED = re.compile(r"\d{4}/\d{2}/\d{2}/(?P<key>[^/]+)/(?P<rest>.+)")
# Another version of a document has a tag of its own.
_CONTENT = re.compile(
    r".*/chunks/[0-9]{5}-(?P<document>[0-9A-Za-z-]+)(?P<version>\.[0-9a-f]{16})?\.(mp4|mp3|wav|media)"
)
# What the manifest says of the files of a form; the others are complete.
_VERDICTS: dict[str, str] = {"cut": "truncated", "noise": "not media"}
_MANIFEST = re.compile(r"recording(-\d+)?\.json")


@dataclass
class Findings:
    """What is wrong, a sentence for each; `explained` counts the chunks that the manifest correctly lists as lost.

    `spoiled` counts, by recording key, those whose only copy the test has changed in staging, and which the manifest
    correctly lists as not proved: the source had none any more when it was read.
    """

    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    explained: int = 0
    spoiled: Counter[str] = field(default_factory=Counter)
    chunks_compared: int = 0
    bytes_kept: int = 0
    # The number of manifests of each recording.
    manifests: dict[str, int] = field(default_factory=dict)
    # The text of each quarantined event, by the name of its blob.
    quarantined: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return not (self.lost or self.damaged or self.duplicated or self.unexplained)


@dataclass(frozen=True)
class Sent:
    """What was sent: recordings as described by the emulator, which of them expired, markers of invalid events.

    With each marker comes the key of its recording, None if the event is of none.
    `gone` has the keys of those that were erased. `forms` has the form of the files of each recording, by its id.
    `changed` has the paths of the blobs whose bytes the storage proxy has changed.
    """

    recordings: list[dict[str, Any]]
    expired: set[str]
    bad_markers: dict[str, str | None]
    forms: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def has_changed(self, document: str) -> bool:
        """Return whether a chunk's content was changed in staging."""
        return any(f"/{STAGING}/" in path and f"-{document}." in path for path in self.changed)


async def check(sent: Sent, *, source: Source, blobs: BlobServiceClient, queued: tuple[int, int]) -> Findings:
    """Compare everything; `queued` counts the messages left in the queues and in the poison queues."""
    findings = Findings()
    archive = blobs.get_container_client(ARCHIVE)
    listed = {str(blob.name): blob async for blob in list_blobs(archive)}
    places = _places(listed)
    known: set[str] = set()
    turn = asyncio.Semaphore(PARALLEL)

    async def one(recording: dict[str, Any]) -> None:
        async with turn:
            await _recording(recording, sent, source=source, archive=archive, places=places, findings=findings)

    async with asyncio.TaskGroup() as group:
        for recording in sent.recordings:
            key = key_of(recording)
            if key in sent.gone:
                continue
            known.add(key)
            group.create_task(one(recording))
    _account_for(listed, sent, findings)
    findings.unexplained += [
        f"{ARCHIVE}/{name} still says where it was copied from" for name, blob in listed.items() if blob.copy.source
    ]
    findings.unexplained += [
        f"{ARCHIVE}/{name} belongs to no recording"
        for name in listed
        if (k := _key(name)) is not None and k not in known
    ]
    async for blob in list_blobs(blobs.get_container_client(STAGING)):
        if str(blob.name).startswith(SETTLING):
            continue
        findings.unexplained.append(f"{STAGING}/{blob.name} is still there")
    await _quarantine(blobs.get_container_client(QUARANTINE), sent, findings)
    for count, what in zip(queued, ("queues", "poison queues"), strict=True):
        if count:
            findings.unexplained.append(f"{count} messages are left in the {what}")
    return findings


async def _recording(
    recording: dict[str, Any],
    sent: Sent,
    *,
    source: Source,
    archive: ContainerClient,
    places: dict[str, list[tuple[str, str | None]]],
    findings: Findings,
) -> None:
    key = key_of(recording)
    folder = f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}"
    manifest = await read_manifest(archive, folder)
    if manifest is None:
        findings.unexplained.append(f"{folder} has no manifest")
    else:
        findings.manifests[key] = manifest.get("revision", 1)
    entries = {entry["documentId"]: entry for entry in (manifest or {}).get("chunks", [])}
    if stray := sorted(set(entries) - {chunk["documentId"] for chunk in recording["chunks"]}):
        findings.unexplained.append(f"the manifest of {key} lists {stray}, which were not announced")
    for chunk in recording["chunks"]:
        document = chunk["documentId"]
        entry = entries.get(document)
        copies = places.get(document, [])
        kept = ((entry or {}).get("content") or {}).get("blob")
        if any(version and name == kept for name, version in copies):
            findings.unexplained.append(f"the manifest prefers another version of {document}, though none is better")
        where = [name for name, version in copies if not version]
        if len(where) > 1:
            findings.duplicated.append(f"{document} is archived {len(where)} times: {where}")
        if recording["recordingId"] in sent.expired:
            _check_explained(document, entry, where, findings)
        elif not where:
            findings.lost.append(
                f"{document} of {key} isn't in the archive; its outcome in the manifest is {_outcome(entry)}"
            )
        elif _outcome(entry) == "unproved" and sent.has_changed(document):
            await _check_spoiled(chunk, where[0], entry or {}, source=source, archive=archive, findings=findings)
            findings.spoiled[key] += 1
        else:
            await _compare(chunk, where[0], entry, source=source, archive=archive, findings=findings)
            verdict = _VERDICTS.get(sent.forms.get(recording["recordingId"], ""), "complete")
            if (entry or {}).get("verdict", verdict) != verdict:
                findings.unexplained.append(
                    f"the verdict on {where[0]} is {entry and entry['verdict']!r}, not {verdict!r}"
                )
            if not where[0].endswith(f".{recording['format']['formatType']}"):
                findings.unexplained.append(f"{where[0]} doesn't have the extension of its format")


def _check_explained(document: str, entry: dict[str, Any] | None, where: list[str], findings: Findings) -> None:
    """Check that the manifest lists a chunk as lost, with a reason, if its source had deleted it."""
    if entry is None or entry.get("outcome") != "lost" or not entry.get("reason") or where:
        findings.unexplained.append(f"{document} had expired, but its outcome in the manifest is {_outcome(entry)}")
    else:
        findings.explained += 1


async def _check_spoiled(
    chunk: dict[str, Any],
    name: str,
    entry: dict[str, Any],
    *,
    source: Source,
    archive: ContainerClient,
    findings: Findings,
) -> None:
    """Check that bytes listed as not proved are others than those of the source, and that there is a reason."""
    _, difference = await _against_source(archive, name, source=source, chunk=chunk)
    if not difference or not entry.get("reason") or (entry.get("content") or {}).get("sha256"):
        findings.unexplained.append(f"{name} is listed as not proved, and has the bytes of its source")


async def _compare(
    chunk: dict[str, Any],
    name: str,
    entry: dict[str, Any] | None,
    *,
    source: Source,
    archive: ContainerClient,
    findings: Findings,
) -> None:
    read, difference = await _against_source(archive, name, source=source, chunk=chunk)
    findings.chunks_compared += 1
    findings.bytes_kept += read.size
    if difference:
        findings.damaged.append(f"{name} {difference}")
    elif (read.size, read.sha256) != (chunk["bytes"], chunk["sha256"]):
        findings.damaged.append(f"{name} has {read}, which differ from the emulator's")
    content = (entry or {}).get("content") or {}
    said = (_outcome(entry), content.get("blob"), content.get("bytes"), content.get("sha256"), content.get("crc64"))
    if said != ("archived", name, chunk["bytes"], chunk["sha256"], read.crc64):
        findings.unexplained.append(f"the manifest lists {name} as {said}")
    if not (entry or {}).get("copyProvedAt"):
        findings.unexplained.append(f"the manifest doesn't say that {name} was read and compared")
    metadata = f"{name.rpartition('.')[0]}.json"
    if ((entry or {}).get("metadata") or {}).get("blob") != metadata:
        findings.unexplained.append(f"the manifest doesn't list {metadata}")
        return
    _, difference = await _against_source(archive, metadata, source=source, chunk=chunk, part="metadata")
    if difference:
        findings.damaged.append(f"{metadata} {difference}")


@dataclass(frozen=True)
class _Read:
    """What a blob is: its bytes, and their SHA-256 and CRC64 (CRC-64/NVME) in hex."""

    size: int
    sha256: str
    crc64: str


async def _against_source(
    archive: ContainerClient, name: str, *, source: Source, chunk: dict[str, Any], part: Part = "content"
) -> tuple[_Read, str]:
    """Compare a blob with its source; return what it is, and the difference ("" if there is none)."""
    digest, crc, size, difference = hashlib.sha256(), 0, 0, ""
    download = await archive.get_blob_client(name).download_blob()
    async with source.document(chunk, part=part) as original:
        async for piece in download.chunks():
            digest.update(piece)
            crc = crc64nvme(piece, crc)
            if not difference and await _read(original, len(piece)) != piece:
                difference = f"differs from the source between bytes {size} and {size + len(piece)}"
            size += len(piece)
        if not difference and await original.read(1):
            difference = f"ends after {size} bytes, before its source"
    return _Read(size, digest.hexdigest(), f"{crc:016x}"), difference


async def _read(stream: aiohttp.StreamReader, length: int) -> bytes:
    try:
        return await stream.readexactly(length)
    except asyncio.IncompleteReadError as short:
        return short.partial


def _account_for(listed: Iterable[str], sent: Sent, findings: Findings) -> None:
    """Find blobs in the folders of recordings that are not documented."""
    documents = {key_of(r): {chunk["documentId"] for chunk in r["chunks"]} for r in sent.recordings}
    for name in listed:
        found = _DATED.fullmatch(name)
        if found is None or found["key"] not in documents:
            continue
        folder, _, rest = found["rest"].partition("/")
        is_chunk = folder == "chunks" and rest.partition("-")[2].partition(".")[0] in documents[found["key"]]
        if not (is_chunk or folder == "events" or _MANIFEST.fullmatch(found["rest"])):
            findings.unexplained.append(f"{ARCHIVE}/{name} is not a documented blob")


async def _quarantine(container: ContainerClient, sent: Sent, findings: Findings) -> None:
    """Check that every invalid event is in quarantine, and no other event.

    An event of an erased recording may be there or not: the erasure removes it, and what comes later is dropped, or
    quarantined while the tombstone can't be read.
    """
    erased = {marker for marker, key in sent.bad_markers.items() if key in sent.gone}
    missing = sent.bad_markers.keys() - erased
    async for blob in list_blobs(container):
        text = (await (await container.get_blob_client(blob.name).download_blob()).readall()).decode()
        found = set(re.findall(r"soak-bad-\d{6}", text))
        if found - erased or not found:
            findings.quarantined[blob.name] = text
        if not found & sent.bad_markers.keys() or not json.loads(text):
            findings.unexplained.append(f"{QUARANTINE}/{blob.name} is not one of the invalid events")
        missing -= found
    findings.unexplained += [f"the invalid event {marker} isn't in quarantine" for marker in sorted(missing)]


def _places(listed: Iterable[str]) -> dict[str, list[tuple[str, str | None]]]:
    """Return all archived copies of each document, each with the tag of its version if it has one."""
    places: dict[str, list[tuple[str, str | None]]] = {}
    for name in listed:
        if found := _CONTENT.fullmatch(name):
            places.setdefault(found["document"], []).append((name, found["version"]))
    return places


def _key(name: str) -> str | None:
    found = _DATED.fullmatch(name)
    return found["key"] if found else None


def _outcome(entry: dict[str, Any] | None) -> str:
    return "missing" if entry is None else str(entry.get("outcome"))
