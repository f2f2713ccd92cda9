"""The growth of a soak run is read within the run."""

from local.soak import growth
from local.soak.growth import Sample
from local.soak.watch import Archived


def _archived(count: int, *, seconds: float, slower: float = 0.0) -> list[Archived]:
    """Recordings whose events come one a second; each takes `slower` seconds longer than the one before."""
    return [
        Archived(f"key-{number}", 2, published=float(number), seconds=seconds + number * slower)
        for number in reversed(range(count))
    ]


def test_a_run_that_stays_as_it_is_is_flat() -> None:
    """Every tenth has the same figures, and the halves have a ratio of 1."""
    archived = _archived(1000, seconds=40)
    samples = [Sample(settled, 7 * settled) for settled in range(0, 1001, 5)]
    found = growth.read(archived, dict.fromkeys((one.key for one in archived), 30), samples=samples)

    assert (
        found["tenths"]
        == [{"recordings": 100, "secondsToArchived": 40, "requestsPerRecording": 30, "otherRequestsPerRecording": 7}]
        * 10
    )
    assert set(found["secondHalfToFirst"].values()) == {1.0}


def test_a_run_that_becomes_slower_and_costs_more_shows_it() -> None:
    """Each figure is read in the order of the events, whenever its recording was archived."""
    archived = _archived(1000, seconds=40, slower=0.04)
    requests = {f"key-{number}": 30 + number // 50 for number in range(1000)}
    samples = [Sample(settled, settled**2) for settled in range(0, 1001, 5)]
    found = growth.read(archived, requests, samples=samples)

    assert [tenth["secondsToArchived"] for tenth in found["tenths"]][:2] == [41.98, 45.98]
    assert found["secondHalfToFirst"] == {
        "secondsToArchived": 1.4,
        "requestsPerRecording": 1.29,
        "otherRequestsPerRecording": 3.0,
    }


def test_a_recording_with_very_many_chunks_does_not_count_as_growth() -> None:
    """It alone would be most of its tenth."""
    archived = [*_archived(100, seconds=40), Archived("big", 1500, published=95.5, seconds=400)]
    found = growth.read(archived, {"big": 20_000}, samples=[])

    assert [tenth["recordings"] for tenth in found["tenths"]] == [10] * 10
    assert {tenth["requestsPerRecording"] for tenth in found["tenths"]} == {0.0}


def test_a_run_of_nothing_has_no_growth() -> None:
    """Neither has one that was never sampled."""
    assert growth.read([], {}, samples=[]) == {"tenths": [], "secondHalfToFirst": {}}
