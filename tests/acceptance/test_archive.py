"""recording/archive: killed at each write, and many orders of events; `make test` has some of them."""

import pytest

from recording.app import App
from tests.archive.any_order import in_any_order
from tests.archive.kills import JOB_WRITES, RUN_WRITES, kill_job, kill_run


@pytest.mark.parametrize("after", range(1, JOB_WRITES + 2))
async def test_a_job_that_is_killed_at_each_write_is_ended_by_the_next(app: App, after: int) -> None:
    """Each of them, and a job that is not killed."""
    await kill_job(app, after)


@pytest.mark.parametrize("after", range(1, RUN_WRITES + 1))
async def test_a_run_that_is_killed_at_each_write_does_no_harm(environment: dict[str, str], after: int) -> None:
    """Where the app deletes what is archived at ACS."""
    await kill_run(environment, after)


@pytest.mark.parametrize("seed", range(9))
async def test_what_is_gone_at_acs_is_archived_in_many_orders(environment: dict[str, str], seed: int) -> None:
    """Whatever comes twice, late, or is killed."""
    await in_any_order(environment, seed)
