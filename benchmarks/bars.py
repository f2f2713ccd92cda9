"""The bars that the figures are held against; nothing here changes a figure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.cases import SIZES
from benchmarks.shaping import CAPPED, LATENCY, NONE, Shaping

Row = dict[str, Any]

# Speed against another contender: at least so many times, and what is aimed at.
_SPEED: tuple[tuple[str, Shaping, str, float, float], ...] = (
    ("1MB", LATENCY, "sdk_read", 0.95, 1.0),
    ("64MB", CAPPED, "sdk_tuned", 0.95, 1.0),
    ("75MB", CAPPED, "sdk_tuned", 0.95, 1.0),
    ("64MB", NONE, "sdk_tuned", 0.8, 1.0),
    ("75MB", NONE, "sdk_tuned", 0.8, 1.0),
    ("1.5GB", CAPPED, "sdk_tuned", 1.0, 1.0),
    ("10GB", CAPPED, "sdk_tuned", 1.0, 1.0),
    ("1.5GB", NONE, "sdk_tuned", 0.85, 1.0),
)
_OF_CAP, _OF_CAP_AIM = 94.0, 97.0
# CPU-seconds per GiB of 1.5 GB without shaping, until a row's field.
_CPU = (
    ("safe", "ours", "cpu_seconds_per_gib", 1.3, 0.9),
    ("archived", "ours_archived", "archived_cpu_seconds_per_gib", 3.3, 2.5),
)
_MEMORY_MIB = 40.0
# Memory of the largest chunk beside that of the next; requests of the timer, however much has been archived.
_FLAT = 1.2
# What is no limit yet becomes at least so many times as fast by twice the workers. Azurite has one core for its own,
# and both share those of the machine: what uses so much of either has no more to give.
_GROWS, _BUSY = 1.1, 0.85


@dataclass(frozen=True)
class Bar:
    """What was wanted, what was measured, and whether that will do."""

    name: str
    wanted: str
    measured: str
    met: bool

    def line(self) -> str:
        """Write the bar as a line for people."""
        return f"{'met    ' if self.met else 'NOT MET'}  {self.name}: {self.measured} (must be {self.wanted})"


def check(rows: list[Row]) -> list[Bar]:
    """Hold the rows against every bar that they have figures for."""
    pump = [row for row in rows if row["benchmark"] == "pump" and row["transport"] == "plain"]
    return [*_speed(pump), *_cpu(pump), *_memory(pump), *_workers(rows), *_burst(rows), *_flat(rows)]


def _speed(rows: list[Row]) -> Iterator[Bar]:
    for size, shaping, other, least, aim in _SPEED:
        ours, against = (_find(rows, size, shaping, name) for name in ("ours", other))
        if not ours or not against:
            continue
        name = f"{size}, {'unshaped' if shaping is NONE else shaping.name}"
        times = against["seconds"] / ours["seconds"]
        measured = f"{times:.2f} times, {ours['megabytes_per_second']} to {against['megabytes_per_second']} MB/s"
        yield Bar(f"{name}, against {other}", f"at least {least:g} times; aim {aim:g}", measured, times >= least)
        if size in ("1.5GB", "10GB") and shaping is CAPPED:
            share = ours["percent_of_streams_times_cap"]
            wanted = f"at least {_OF_CAP:g} %; aim {_OF_CAP_AIM:g} %"
            yield Bar(f"{name}, of streams x cap", wanted, f"{share} %", share >= _OF_CAP)


def _find(rows: list[Row], size: str, shaping: Shaping, contender: str) -> Row | None:
    wanted = (SIZES[size], shaping.name, contender)
    return next((row for row in rows if (row["bytes"], row["shaping"], row["contender"]) == wanted), None)


def _cpu(rows: list[Row]) -> Iterator[Bar]:
    for until, contender, field, most, aim in _CPU:
        if row := _find(rows, "1.5GB", NONE, contender):
            name = f"1.5GB, unshaped, CPU-seconds per GiB until {until}"
            yield Bar(name, f"at most {most:g}; aim {aim:g}", f"{row[field]}", row[field] <= most)


def _memory(rows: list[Row]) -> Iterator[Bar]:
    for until, field in (("safe", "peak_mib_above_idle"), ("archived", "archived_peak_mib_above_idle")):
        peaks: dict[int, float] = {}
        for row in sorted((one for one in rows if one["contender"].startswith("ours")), key=lambda one: one["bytes"]):
            if field in row:
                peaks[row["bytes"]] = max(peaks.get(row["bytes"], 0.0), row[field])
        if peaks:
            measured = ", ".join(f"{peak} MiB at {count / 1e6:g} MB" for count, peak in peaks.items())
            yield Bar(
                f"peak memory above idle until {until}",
                f"at most {_MEMORY_MIB:g} MiB",
                measured,
                max(peaks.values()) <= _MEMORY_MIB,
            )
        if {SIZES["1.5GB"], SIZES["10GB"]} <= peaks.keys():
            before, after = peaks[SIZES["1.5GB"]], peaks[SIZES["10GB"]]
            wanted = f"flat: at most {_FLAT:g} times that at 1.5 GB"
            yield Bar(f"the same at 10 GB, until {until}", wanted, f"{before} to {after} MiB", after <= _FLAT * before)


def _workers(rows: list[Row]) -> Iterator[Bar]:
    found = {row["workers"]: row for row in rows if row["benchmark"] == "workers"}
    for fewer, more in zip(found, list(found)[1:], strict=False):
        before, after = (found[count]["archived_per_second"] for count in (fewer, more))
        azurite, workers, machine = (found[more].get(f"cores_of_{one}", 0) for one in ("azurite", "workers", "machine"))
        measured = f"{after / before:.2f} times, {before} to {after} a second, Azurite on {azurite} of its one core"
        measured += f", workers on {workers} of {machine}" if machine else ""
        limit = ""
        if azurite >= _BUSY:
            limit = "Azurite is the limit"
        elif machine and azurite + workers >= _BUSY * machine:
            limit = f"the {machine} cores of the machine are the limit"
        measured += f": {limit}" if limit else ""
        wanted = f"at least {_GROWS:g} times, unless Azurite or the machine is the limit"
        yield Bar(
            f"recordings archived by {more} workers against {fewer}",
            wanted,
            measured,
            bool(limit) or after >= _GROWS * before,
        )


def _burst(rows: list[Row]) -> Iterator[Bar]:
    for row in rows:
        if row["benchmark"] == "burst":
            slow = row["answer_p99_seconds"]
            name = f"p99 of the answers to {row['events']} events, {row['connections']} at once"
            yield Bar(name, "below 1 s", f"{slow} s", slow < 1)


def _flat(rows: list[Row]) -> Iterator[Bar]:
    found = {row["recordings_in_archive"]: row for row in rows if row["benchmark"] == "sweep"}
    if 0 in found and (most := max(found)):
        for what in ("waiting", "handing_over", "archiving"):
            before, after = (found[held][f"{what}_requests"] for held in (0, most))
            which = f"{found[0]['recordings_in_staging']} recordings {what.replace('_', ' ')}"
            name = f"requests for {which}, archive of {most:,}"
            measured = f"{after / before:.2f} times, {before} to {after}"
            yield Bar(name, f"at most {_FLAT:g} times", measured, after <= _FLAT * before)
