"""Rows of the service's log and of ours."""

from datetime import UTC, datetime, timedelta

from recording.archive.completeness import Archived, Recorded

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


DAY, MARGIN = timedelta(days=1), timedelta(hours=8)


def row(name: str, *, chunks: int = 1, hours_ago: float = 20.0) -> Recorded:
    """Make a recording of ACS's."""
    ready = NOW - timedelta(hours=hours_ago)
    return Recorded(name, start=ready - timedelta(hours=1), ready_at=ready, chunks=chunks, end_reason="CallEnded")


def line(name: str | None, *, chunks: int = 0, exported: tuple[str, ...] = (), start: datetime = NOW) -> Archived:
    """Make a line of ours."""
    key = f"{start:%Y%m%dT%H%M%S%f}Z-3f2b0e4c-0000-4000-8000-000000000001"
    return Archived(key, name, chunks=chunks, exported=frozenset(exported))
