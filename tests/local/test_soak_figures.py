"""What a soak run says at its end."""

from typing import Any

from local.soak import figures


def _found(**changes: Any) -> dict[str, Any]:
    return {"ok": True, "chunks": 1200, "explained": 3, "spoiled": 2, "open": [], "seconds": 470.2, **changes}


def test_a_run_that_kept_everything_says_what_it_could_not_have_kept() -> None:
    """Numbers of chunks, in plain words."""
    assert figures.sentence(_found()).startswith("The app lost nothing: of 1,200 chunks")


def test_a_run_that_reached_its_limit_says_so() -> None:
    """What isn't finished is no loss."""
    said = figures.sentence(_found(ok=False, open=["one", "two"]))

    assert said.startswith("FAILED: after 470 s 2 recordings were not finished")


def test_a_run_that_lost_something_says_so() -> None:
    """Whatever it was."""
    assert "lost, damaged, duplicated or not explained" in figures.sentence(_found(ok=False))
