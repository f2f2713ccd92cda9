"""Pure: what is known of a recording before a byte of its chunks is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from recording.formats.verdict import Kind, Outcome
from recording.model.manifest import Manifest, ManifestChunk
from recording.model.timeline import Span

State = Literal["proved", "notProved", "waiting", "lost"]


@dataclass(frozen=True)
class Source:
    """One announced chunk.

    `size` is that of its content in bytes, None if there is none. `channels` has the channel of each participant, where
    sound isn't mixed; `is_mixed` is what its event says of that. `media_ms` is the length of its media, None if nothing
    says it.
    """

    index: int
    state: State = "proved"
    kind: Kind | None = None
    size: int | None = None
    verdict: Outcome | None = None
    start: datetime | None = None
    media_ms: float | None = None
    channels: Mapping[str, int] = field(default_factory=dict)
    is_mixed: bool = False

    @classmethod
    def of(cls, entry: ManifestChunk) -> "Source":
        """Return what a manifest says of a chunk."""
        state: State = "lost" if entry.outcome == "lost" else "proved" if entry.is_proved else "notProved"
        return cls(
            index=entry.index,
            state="waiting" if entry.outcome == "waiting" and entry.content is None else state,
            kind=entry.format,
            size=entry.content.bytes if entry.content else None,
            verdict=entry.verdict,
            start=entry.start_time,
            media_ms=entry.media_ms,
            channels=entry.channels,
            is_mixed=entry.channel_type == "mixed",
        )


@dataclass(frozen=True)
class Recording:
    """A recording: its key, the revision of its manifest, when it began, its chunks and its timeline.

    The place of a chunk in `sources` is its place in the manifest's list of chunks.
    """

    key: str
    revision: int
    start: datetime
    sources: tuple[Source, ...]
    timeline: tuple[Span, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> "Recording":
        """Return what a manifest says."""
        return cls(
            key=manifest.recording_key,
            revision=manifest.revision,
            start=manifest.recording_start_time,
            sources=tuple(Source.of(entry) for entry in manifest.chunks),
            timeline=manifest.timeline,
        )

    def in_order(self) -> list[int]:
        """Return the places of all chunks in the order of time, as the timeline has them; else by their index."""
        places: dict[int, int] = {}
        for number, span in enumerate(self.timeline):
            for index in span.chunks:
                places.setdefault(index, number)
        last = len(self.timeline)
        indexes = [source.index for source in self.sources]
        return sorted(range(len(indexes)), key=lambda place: (places.get(indexes[place], last), indexes[place], place))
