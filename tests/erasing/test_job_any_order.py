"""recording/erasing/job.py: what is on hold is never erased, what is erased never returns, in whatever order."""

from tests.erasing.any_order import ends_well


async def test_holds_and_erasures_in_some_order(environment: dict[str, str]) -> None:
    """Nothing on hold is deleted, nothing erased returns, every deletion has its record, and every record is true.

    One order that ends with an erasure; the acceptance tests have many more.
    """
    assert await ends_well(environment, 3)
