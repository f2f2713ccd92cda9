"""The bars that the figures are held against; nothing here changes a figure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

_MEMORY_MIB = 64e6 / 2**20
# The bars for speed and CPU are for chunks of 1.5 GB. A small one is over before eight streams are under way.
_SMALLEST, _HUGE = 1_000_000_000, 4_000_000_000
# Requests of the timer, however much has been archived.
_FLAT = 1.2


@dataclass(frozen=True)
class Bar:
    """What was wanted, what was measured, and whether that will do."""

    name: str
    wanted: str
    measured: str
    met: bool

    def line(self) -> str:
        """Write the bar as a line for people."""
        return f"{'met    ' if self.met else 'NOT MET'}  {self.name}: {self.measured} (wanted {self.wanted})"


def check(rows: list[Row]) -> list[Bar]:
    """Hold the rows against every bar that they have figures for."""
    pump = [row for row in rows if row["benchmark"] == "pump" and row["sink"] == "discarding"]
    usual = [row["bytes"] for row in pump if _SMALLEST <= row["bytes"] < _HUGE]
    return [*(_speed(pump, max(usual)) if usual else ()), *_memory(pump), *_burst(rows), *_flat(rows)]


def _speed(rows: list[Row], size: int) -> Iterator[Bar]:
    def find(contender: str, is_wanted: Callable[[Row], bool]) -> Row | None:
        found = (row for row in rows if row["contender"] == contender and row["bytes"] == size and is_wanted(row))
        return next(found, None)

    def is_capped(row: Row) -> bool:
        return row["cap_megabytes_per_second_per_connection"] is not None

    def is_unshaped(row: Row) -> bool:
        return bool(row["shaping"] == "none")

    capped, unshaped = find("ours", is_capped), find("ours", is_unshaped)
    bare = find("ours_without_hash", is_unshaped)
    for title, other, least in (("(a)", "sdk_read", 15), ("(b)", "sdk_stream", 8), ("(c)", "sdk_tuned", 1)):
        yield from _times(f"with caps, against {title}", capped, find(other, is_capped), least)
    if capped:
        share = capped["percent_of_streams_times_cap"]
        yield Bar("with caps, of streams x cap", "at least 92 %", f"{share} %", share >= 92)
    for title, other in (("(b)", "sdk_stream"), ("(b) with reads of 1 MiB", "sdk_stream_large_reads")):
        against = find(other, is_unshaped)
        yield from _times(f"unshaped, against {title}", unshaped, against, 1.1)
        yield from _cpu(f"CPU per GiB without the hash, against {title}", bare, against)


def _memory(rows: list[Row]) -> Iterator[Bar]:
    for title, contender, name in (
        ("peak memory above idle", "ours", "peak_mib_above_idle"),
        ("the same with the proof", "ours_with_proof", "proof_peak_mib_above_idle"),
    ):
        peaks: dict[int, float] = {}
        for row in sorted((row for row in rows if row["contender"] == contender), key=lambda row: int(row["bytes"])):
            peaks[row["bytes"]] = max(peaks.get(row["bytes"], 0.0), row[name])
        if peaks:
            measured = ", ".join(f"{peak} MiB at {count / 1e6:g} MB" for count, peak in peaks.items())
            yield Bar(title, f"at most {_MEMORY_MIB:.0f} MiB", measured, max(peaks.values()) <= _MEMORY_MIB)


def _times(name: str, ours: Row | None, other: Row | None, least: float) -> Iterator[Bar]:
    if ours and other:
        times = other["seconds"] / ours["seconds"]
        rates = f"{ours['megabytes_per_second']} to {other['megabytes_per_second']} MB/s"
        yield Bar(name, f"at least {least:g} times", f"{times:.2f} times, {rates}", times >= least)


def _cpu(name: str, ours: Row | None, other: Row | None) -> Iterator[Bar]:
    if ours and other:
        mine, theirs = ours["cpu_seconds_per_gib"], other["cpu_seconds_per_gib"]
        measured = f"{mine / theirs:.2f} times, {mine} to {theirs} CPU-seconds"
        yield Bar(name, "at most 1.15 times", measured, mine <= 1.15 * theirs)


def _burst(rows: list[Row]) -> Iterator[Bar]:
    for row in rows:
        if row["benchmark"] == "burst":
            slow = row["answer_p99_seconds"]
            name = f"p99 of the answers to {row['events']} events, {row['connections']} at once"
            yield Bar(name, "below 1 s", f"{slow} s", slow < 1)


def _flat(rows: list[Row]) -> Iterator[Bar]:
    found = {row["recordings_in_archive"]: row for row in rows if row["benchmark"] == "sweep"}
    if 0 in found and (most := max(found)):
        for what in ("waiting", "archiving"):
            before, after = (found[held][f"{what}_requests"] for held in (0, most))
            name = f"requests of the timer, {found[0]['recordings_in_staging']} recordings {what}, archive of {most:,}"
            measured = f"{after / before:.2f} times, {before} to {after}"
            yield Bar(name, f"at most {_FLAT:g} times", measured, after <= _FLAT * before)
