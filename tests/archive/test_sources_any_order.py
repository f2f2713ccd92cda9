"""recording/archive/sources.py: what ACS has no more is in the archive, whatever comes twice, late or is killed."""

from tests.archive.any_order import in_any_order


async def test_what_is_gone_at_acs_is_archived_in_whatever_order(environment: dict[str, str]) -> None:
    """And in the end everything is, and staging is empty; `make acceptance` has more seeds."""
    await in_any_order(environment, seed=0)
