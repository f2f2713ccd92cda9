"""benchmarks/resume.py: copies that are killed."""

from benchmarks import resume
from benchmarks.contender import OURS
from benchmarks.resume import HALF, QUICK_SIZES, SIZES, Kill, kills, row

SIZE = 64_000_000


async def test_a_killed_copy_is_finished_by_another_process() -> None:
    """The row says what the source had served by then, and that no more than this was served again."""
    [found] = await resume.run([Kill(SIZE, OURS, HALF)], say=lambda _: None)

    assert found["served_until_the_kill_megabytes"] >= SIZE / 2e6
    # The few bytes that a second process reads of the file's structure come on top.
    assert found["fetched_again_megabytes"] <= found["served_until_the_kill_megabytes"] + 0.1
    assert found["seconds_after_the_restart"] > 0


def test_everybody_is_killed_at_half() -> None:
    """Each contender is, at each size; ours before and after it as well, but for a run in a hurry."""
    planned = list(kills(SIZES, quick=False))
    hurried = list(kills(QUICK_SIZES, quick=True))

    at_half = {(one.size, one.contender.name) for one in planned if one.percent == HALF}
    assert at_half == {(size, name) for size in SIZES for name in ("sdk_read", "sdk_stream", "ours")}
    assert {one.contender.name for one in planned if one.percent != HALF} == {"ours"}
    assert [(one.size, one.percent) for one in hurried] == [(250_000_000, HALF)] * 3


def test_what_is_fetched_again_is_what_was_served_beyond_the_chunk() -> None:
    """Both processes count; a copy that wasn't resumed at all has fetched again all that was served."""
    resumed = row(Kill(100_000_000, OURS, HALF), 50_000_000, 60_000_000, 1.5)
    restarted = row(Kill(100_000_000, OURS, HALF), 50_000_000, 100_000_000, 3.0)

    fields = ("fetched_again_megabytes", "fetched_again_percent_of_the_served")
    assert [[one[name] for name in fields] for one in (resumed, restarted)] == [[10.0, 20.0], [50.0, 100.0]]
