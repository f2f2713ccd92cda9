"""Archived recordings with media that a browser plays, put where the archive has them."""

import hashlib
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from azure.storage.blob import ContentSettings, CorsRule
from azure.storage.blob.aio import BlobServiceClient

from local.acs import media, sound
from local.acs.timeline import Participant as Present
from local.acs.timeline import Timeline
from local.azurite import Azurite
from recording.config.settings import Settings
from recording.model import layout
from recording.model.attempts import Failure
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile, Participant, with_timeline
from recording.model.metadata_file import Pause, participant_kind
from tests.support.facts import container
from tests.support.manifests import empty_manifest

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
PEOPLE = ("8:acs:ada", "4:+493012345617")
VOICES = tuple(f"8:acs:speaker-{number}" for number in range(5))
_METADATA = b"{}"
_TYPES = {"mp4": "video/mp4", "wav": "audio/wav"}


@dataclass(frozen=True)
class Part:
    """A chunk to be recorded: from `begin` on, in seconds after the start, for `seconds` of media.

    `pause` is (second of the media, length) of a pause within it. `outcome` lost: there is nothing of it. A `wav`
    has five channels; `is_mixed` says that they aren't those of speakers. `body` is what was
    delivered instead of media.
    """

    begin: float
    seconds: float = 5.0
    pause: tuple[float, float] | None = None
    outcome: Literal["archived", "lost"] = "archived"
    kind: Literal["mp4", "wav"] = "mp4"
    is_mixed: bool = False
    body: bytes | None = None


@asynccontextmanager
async def readable(azurite: Azurite) -> AsyncIterator[None]:
    """Let scripts of any page read media, as the CORS rule of a deployment does for its own."""
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        rule = CorsRule(["*"], ["GET", "HEAD"], allowed_headers=["*"], max_age_in_seconds=60)
        await service.set_service_properties(cors=[rule])
        try:
            yield
        finally:
            await service.set_service_properties(cors=[])


@cache
def film(seconds: float) -> bytes:
    """Encode a video of this length, as the emulator does."""
    people = tuple(Present(one, one.rpartition(":")[2], START) for one in PEOPLE)
    line = Timeline(START, START + timedelta(seconds=seconds), participants=people)
    with TemporaryDirectory() as folder:
        [made] = media.encode(line, Path(folder), maximum_bytes=10**9, cancelled=threading.Event())
        return made.path.read_bytes()


@cache
def voices(seconds: float) -> bytes:
    """Write sound of this length in five channels: each has one speaker."""
    people = tuple(Present(one, one, START) for one in VOICES)
    line = Timeline(START, START + timedelta(seconds=seconds), participants=people)
    with TemporaryDirectory() as folder:
        cancelled = threading.Event()
        [made] = sound.encode_wav(line, Path(folder), voices=VOICES, maximum_bytes=10**9, cancelled=cancelled)
        return made.path.read_bytes()


async def put_recording(settings: Settings, number: int, parts: Sequence[Part], **more: Any) -> Manifest:
    """Put an archived recording with its media into the archive; the higher the number, the later it started."""
    start = START + timedelta(hours=number)
    call_id = f"b7e47c6c-0000-4000-8000-{number:012}"
    key = layout.recording_key(start, call_id)
    entries = []
    async with container(settings, "archive") as archive:
        if not await archive.exists():
            await archive.create_container()  # as the app does when it first needs it
        for index, part in enumerate(parts):
            made = film(part.seconds) if part.kind == "mp4" else voices(part.seconds)
            body = made if part.body is None else part.body
            entry = _entry(key, index, part, start, body)
            entries.append(entry)
            if entry.content:
                kind = ContentSettings(content_type=_TYPES[part.kind])
                await archive.upload_blob(entry.content.blob, body, overwrite=True, content_settings=kind)
            if entry.metadata:
                await archive.upload_blob(entry.metadata.blob, _METADATA, overwrite=True)
        people = VOICES if any(part.kind == "wav" for part in parts) else PEOPLE
        indexes = tuple(range(len(parts)))
        is_whole = all(part.outcome == "archived" for part in parts)
        given: dict[str, Any] = {
            "chunks": entries,
            "participants": tuple(Participant(id=one, kind=participant_kind(one), chunks=indexes) for one in people),
            "reference": "A-2026-118",
            "complete": is_whole,
            "state": "archived" if is_whole else "incomplete",
        }
        manifest = with_timeline(empty_manifest(key, call_id).model_copy(update=given | more))
        text = manifest.model_dump_json(by_alias=True)
        await archive.upload_blob(layout.manifest_blob(key), text, overwrite=True)
    return manifest


def _entry(key: str, index: int, part: Part, start: datetime, body: bytes) -> ManifestChunk:
    begin = start + timedelta(seconds=part.begin)
    document = f"0-eus-{index:032x}"
    common: dict[str, Any] = {
        "document_id": document,
        "index": index,
        "end_reason": "SessionEnded",
        "announced_at": start,
        "deadline": start + timedelta(hours=48),
        "content_type": "audioVideo" if part.kind == "mp4" else "audio",
        "channel_type": "mixed" if part.kind == "mp4" else "unmixed",
        "format": part.kind,
    }
    if part.outcome == "lost":
        gone = Failure(at=start + timedelta(hours=49), code="SourceGone", message="ACS has no such document")
        return ManifestChunk(outcome="lost", reason="SourceGone: ACS has no such document", evidence=gone, **common)
    folder = layout.archive_folder(key)
    pauses = (Pause(start=begin + timedelta(seconds=part.pause[0]), ms=part.pause[1] * 1000),) if part.pause else ()
    return ManifestChunk(
        outcome="archived",
        content=ManifestFile(
            blob=f"{folder}/chunks/{index:05}-{document}.{part.kind}",
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        ),
        metadata=ManifestFile(
            blob=f"{folder}/chunks/{index:05}-{document}.json",
            bytes=len(_METADATA),
            sha256=hashlib.sha256(_METADATA).hexdigest(),
        ),
        verdict="complete" if part.body is None else "error page",
        copy_proved_at=start + timedelta(hours=1),
        copy_compared="sha256",
        start_time=begin,
        duration_ms=part.seconds * 1000,
        media_ms=part.seconds * 1000,
        pauses=pauses,
        channels={one: number for number, one in enumerate(VOICES)} if part.kind == "wav" and not part.is_mixed else {},
        **common,
    )


async def furnish_media(settings: Settings) -> dict[str, str]:
    """Put recordings that play into the archive, for pictures; return their keys by name."""
    parts: dict[str, tuple[Part, ...]] = {
        "played": (Part(0, 6, pause=(4, 5)), Part(11, 6)),
        "broken": (Part(0, 6), Part(6, outcome="lost"), Part(14, 6), Part(20, 4, body=b"<html>not here</html>")),
        "unmixed": (Part(0, 20, kind="wav"),),
    }
    numbered = enumerate(parts.items(), start=100)
    return {name: (await put_recording(settings, number, some)).recording_key for number, (name, some) in numbered}
