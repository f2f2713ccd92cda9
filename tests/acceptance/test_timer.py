"""Runs of the timer that are killed at every write, and one after the other; tests/test_timer.py has a sample."""

import hypothesis
import pytest
from hypothesis import HealthCheck, given

from tests.support.emulator import Control
from tests.support.killed import KILLS_IN_TURN, WRITES, assert_kills_do_no_harm, assert_kills_in_turn_do_no_harm


@pytest.mark.timeout(600)
async def test_a_run_that_is_killed_anywhere_does_no_harm(environment: dict[str, str], control: Control) -> None:
    """Whichever write a run dies at, the next run makes the very archive that an undisturbed one makes."""
    assert WRITES + 1 == len(await assert_kills_do_no_harm(environment, control, range(1, WRITES + 2)))


@pytest.mark.timeout(600)
@given(**KILLS_IN_TURN)
@hypothesis.settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_runs_that_are_killed_one_after_the_other_do_no_harm(
    environment: dict[str, str], control: Control, is_there: list[bool], kills: list[int]
) -> None:
    """Whatever is staged or lost, any prefix of a run's writes after any other, and one run more: the same archive."""
    await assert_kills_in_turn_do_no_harm(environment, control, is_there, kills)
