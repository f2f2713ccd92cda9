"""A soak run's plan comes from its seed, and its figures are what they say."""

import itertools

from local.soak import figures, plan
from local.soak.checker import Findings


def test_same_seed() -> None:
    """The same seed gives the same recordings, kills and shifts; another gives others."""

    planned = [plan.recordings(50, seed=seed, per_second=4, api="today", retention_hours=1) for seed in (1, 1, 2)]
    assert planned[0] == planned[1] != planned[2]
    assert list(plan.kills(9, seed=1, every_seconds=5)) == list(plan.kills(9, seed=1, every_seconds=5))
    shifts = [list(itertools.islice(plan.shifts(seed=seed), 5)) for seed in (1, 1, 2)]
    assert shifts[0] == shifts[1] != shifts[2]


def test_variety() -> None:
    """A thousand recordings have everything in them: sizes, repeats, late and expired events, bad ones."""

    planned = plan.recordings(1000, seed=1, per_second=4, api="today", retention_hours=1)
    sizes = [size for one in planned for size in one.chunk_bytes]
    assert {len(one.chunk_bytes) for one in planned} == {1, 2, 3, 4, plan.BIG_CHUNKS}
    assert {one.form for one in planned} == {"complete", *plan.ODD_FORMS}
    assert {one.false_year for one in planned} == {None, *plan.FALSE_YEARS}
    assert (min(sizes) < 2 * plan.KIB, max(sizes) > 8 * plan.MIB) == (True, True)
    assert max(one.repeats for one in planned) == 10
    assert [one.at_seconds for one in planned] == sorted(one.at_seconds for one in planned)
    for name in ("again_after", "late_hours", "is_expired", "is_half_bad", "odd_event", "bad_events"):
        share = sum(bool(getattr(one, name)) for one in planned) / len(planned)
        assert 0.01 < share < 0.25, name
    assert {kill.target for kill in plan.kills(4, seed=1, every_seconds=5)} == set(plan.TARGETS)


def test_seconds() -> None:
    """Percentiles are by nearest rank; of nothing there are none."""

    assert figures.seconds(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert figures.seconds([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert figures.seconds([]) == {"p50": None, "p95": None, "p99": None, "max": None}


def test_fetched() -> None:
    """Only downloads count as fetched."""

    requests = [
        {"path": "/recording/download/0-a", "bytesSent": 150},
        {"path": "/Recording/Download/0-a/metadata", "bytesSent": 50},
        {"path": "/v1/objects/0-a/content/video", "bytesSent": 100},
        {"path": "/conversations/x/recordings", "bytesSent": 99},
    ]
    found = figures.fetched(requests, bytes_kept=100, chunks=1)
    assert found == {
        "requests": 3,
        "requestsPerChunk": 3.0,
        "bytesFetched": 300,
        "bytesKept": 100,
        "bytesFetchedPerByteKept": 3.0,
    }


def test_verdict() -> None:
    """The verdict counts each kind and quotes it."""

    found = figures.verdict(Findings(lost=["a is lost"], unexplained=["b", "c"]))
    counts = (found["lost"], found["damaged"], found["duplicated"], found["unexplained"])
    assert counts == (1, 0, 0, 2)
    assert found["examples"] == {"lost": ["a is lost"], "unexplained": ["b", "c"]}
    assert Findings().ok
    assert not Findings(duplicated=["twice"]).ok


def test_the_table_has_the_growth_by_tenths() -> None:
    """A row for each figure that grows or doesn't."""
    names = ("secondsToArchived", "requestsPerRecording", "otherRequestsPerRecording")
    growth = {
        "tenths": [dict.fromkeys(names, number) for number in (1, 2)],
        "secondHalfToFirst": dict.fromkeys(names, 2.0),
    }
    zero = dict.fromkeys(
        ("recordings", "chunks", "explained", "spoiled", "lost", "damaged", "duplicated", "unexplained"), 0
    )
    fetched = figures.fetched([], bytes_kept=0, chunks=0)
    table = figures.table(zero | {"kills": {}, "faults": {}, "secondsTo": {}, "fetched": fetched, "growth": growth})

    assert table.count("1 2; second half / first half 2.0") == 3
