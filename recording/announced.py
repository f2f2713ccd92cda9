"""Pure: the chunks that a file event announces, and which of them are ours to fetch."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from recording import layout, payload
from recording.urls import is_loopback

# The paths of the service's storage hosts (acs-contract 4.10); no container has a name of two letters.
_SERVICE_PATH = "/v1/objects/"


@dataclass(frozen=True)
class AnnouncedChunk:
    """One media file that a file event tells of; today's events say where it lies (acs-contract 4.9)."""

    document_id: str
    index: int
    end_reason: str | None
    content_location: str | None = None
    metadata_location: str | None = None
    delete_location: str | None = None


def read(entries: list[Any]) -> tuple[tuple[AnnouncedChunk, ...], tuple[str, ...]]:
    """Keep what is good and say what isn't; two documents with one index are both kept."""
    chunks: dict[str, AnnouncedChunk] = {}
    problems: list[str] = []
    for position, entry in enumerate(entries):
        try:
            chunk = payload.Chunk.model_validate(entry)
        except ValidationError as invalid:
            problems.append(f"chunk entry {position}: {payload.reason(invalid)}")
            continue
        if not layout.is_document_id(chunk.document_id):
            problems.append(f"chunk entry {position}: documentId is not a document id")
            continue
        where, wrong = _locations(chunk)
        problems += [f"chunk entry {position}: {one}" for one in wrong]
        known = chunks.setdefault(
            chunk.document_id, AnnouncedChunk(chunk.document_id, chunk.index, chunk.end_reason or None, **where)
        )
        if known.index != chunk.index:
            problems.append(f"chunk entry {position}: the document stands at index {known.index} already")
        elif any(c.index == chunk.index and c is not known for c in chunks.values()):
            problems.append(f"chunk entry {position}: another document has index {chunk.index} too")
    return tuple(sorted(chunks.values(), key=lambda c: (c.index, c.document_id))), tuple(problems)


def is_exported(chunk: AnnouncedChunk, storage_type: str | None) -> bool:
    """Tell whether a chunk lies in the team's own storage: such an event says `storageType` (acs-contract 4.9).

    Where the export failed, the event says where on the service's storage host the chunk is instead,
    and it must be fetched in time (acs-contract 4.12). So is what lies nobody knows where: a refused
    address is reported, and a chunk that is taken for exported is not.
    """
    if storage_type is None or storage_type.lower() == "azurecommunicationservices":
        return False
    return chunk.content_location is None or _is_blob_storage(chunk.content_location)


def _is_blob_storage(location: str) -> bool:
    """Tell a container of the team's, in any cloud or in an emulator of Blob Storage, from the service's own hosts."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    host = parts.hostname or ""
    return ".blob." in host or (is_loopback(host) and not parts.path.startswith(_SERVICE_PATH))


def _locations(chunk: payload.Chunk) -> tuple[dict[str, str | None], list[str]]:
    """Read where a chunk lies; an address that can't be one is left away and named."""
    found: dict[str, str | None] = {}
    wrong: list[str] = []
    for name, value in (
        ("content_location", chunk.content_location),
        ("metadata_location", chunk.metadata_location),
        ("delete_location", chunk.delete_location),
    ):
        try:
            found[name] = payload.location(value)
        except ValueError as bad:
            wrong.append(f"{name.replace('_l', 'L')} {bad}; it was left away")
    return found, wrong
