"""recording/joining/make.py: a worker is killed at each write; `make test` has some of them."""

import pytest

from recording.app import App
from tests.joining.kills import WRITES, kill_and_deliver_again

pytestmark = pytest.mark.derived


@pytest.mark.parametrize("writes", range(WRITES))
async def test_a_kill_at_each_write_and_a_second_delivery_make_one_file(app: App, writes: int) -> None:
    """Nothing is left of the first worker, and the file is right."""
    await kill_and_deliver_again(app, writes)
