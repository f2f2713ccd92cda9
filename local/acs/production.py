"""Make the chunks of an ended recording, with their metadata, in temporary storage."""

import asyncio
import logging
import threading
from pathlib import Path
from tempfile import mkdtemp

from local.acs import media, metadata, sound
from local.acs.contents import Content, Digest, FileContent, FillerContent, file_digest, filler_digest
from local.acs.entities import Chunk, Recording
from local.acs.filler import Filler
from local.acs.identifiers import new_document_id
from local.acs.media import MediaChunk
from local.acs.timeline import Timeline

_ENCODERS = 2  # Each uses about one core.
_log = logging.getLogger(__name__)


class Studio:
    """Make the media of recordings, a few at a time, in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encoders = asyncio.Semaphore(_ENCODERS)
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End encoding threads at their next frame; later work isn't affected."""
        self._cancelled.set()
        self._cancelled = threading.Event()

    async def produce(self, recording: Recording, *, maximum_bytes: int) -> list[Chunk]:
        """Make all chunks of an ended recording; raises media.Cancelled after ``cancel``."""
        if sizes := recording.call.media.filler_bytes:
            return _filler_chunks(recording, sizes)
        async with self._encoders:
            files = await asyncio.to_thread(self._encode, recording, maximum_bytes, self._cancelled)
        _log.info("media.encoded recording_id=%s chunks=%d", recording.recording_id, len(files))
        return [_encoded_chunk(recording, index, file) for index, file in enumerate(files)]

    def _encode(self, recording: Recording, maximum_bytes: int, cancelled: threading.Event) -> list[MediaChunk]:
        folder, timeline = Path(mkdtemp(dir=self._folder)), recording.timeline()
        match recording.format.format_type:
            case "mp4":
                return media.encode(timeline, folder, maximum_bytes=maximum_bytes, cancelled=cancelled)
            case "mp3":
                return sound.encode_mp3(timeline, folder, maximum_bytes=maximum_bytes, cancelled=cancelled)
            case "wav":
                voices = _voices(recording)
                return sound.encode_wav(
                    timeline, folder, voices=voices, maximum_bytes=maximum_bytes, cancelled=cancelled
                )


def _voices(recording: Recording) -> tuple[str, ...]:
    """Return whose voice is in which channel; mixed sound has no channels of voices."""
    if recording.format.channel_type == "mixed":
        return ()
    return sound.channels(recording.timeline(), recording.format.channels)


def _encoded_chunk(recording: Recording, index: int, file: MediaChunk) -> Chunk:
    timeline = recording.timeline()
    return _chunk(
        recording,
        index,
        content=FileContent(file.path),
        digest=file_digest(file.path),
        first_second=file.first_frame / media.FRAMES_PER_SECOND,
        duration_ms=file.duration_ms,
        last=file.last,
        timeline=timeline,
        document_id=new_document_id(),
    )


def _filler_chunks(recording: Recording, sizes: tuple[int, ...]) -> list[Chunk]:
    """Make filler chunks, among which the recorded time is divided by their sizes."""
    timeline = recording.timeline()
    file_type, channels = recording.format.format_type, len(_voices(recording)) or 1
    total, before = sum(sizes), 0
    chunks = []
    for index, size in enumerate(sizes):
        document_id = new_document_id()
        seed, form = int(document_id[-32:], 16), recording.call.media.form
        filler = Filler(size, seed=seed, file_type=file_type, channels=channels, form=form)
        chunks.append(
            _chunk(
                recording,
                index,
                content=FillerContent(filler),
                digest=filler_digest(filler),
                first_second=timeline.active_seconds() * before / total,
                duration_ms=float(round(timeline.active_seconds() * 1000 * size / total)),
                last=index == len(sizes) - 1,
                timeline=timeline,
                document_id=document_id,
            )
        )
        before += size
    return chunks


def _chunk(
    recording: Recording,
    index: int,
    *,
    content: Content,
    digest: Digest,
    first_second: float,
    duration_ms: float,
    last: bool,
    timeline: Timeline,
    document_id: str,
) -> Chunk:
    start = timeline.start if index == 0 else timeline.wall_at(first_second)
    end = timeline.end if last else timeline.wall_at(first_second + duration_ms / 1000)
    described = metadata.describe(
        call_id=recording.call.call_id,
        document_id=document_id,
        index=index,
        start=start,
        end=end,
        duration_ms=duration_ms,
        pauses=timeline.pauses_within(start, end),
        participants=timeline.present_within(start, end),
        today=recording.format if recording.generation == "today" else None,
        voices=_voices(recording),
    )
    return Chunk(
        document_id=document_id,
        index=index,
        content=content,
        digest=digest,
        metadata=metadata.render(described),
        etag=f'"0x{document_id[-16:].upper()}"',
        duration_ms=duration_ms,
        end_reason="SessionEnded" if last else "ChunkMaximumSizeExceeded",
        format_type=recording.format.format_type,
    )
