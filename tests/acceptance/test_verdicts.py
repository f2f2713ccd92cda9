"""Every vector of docs/media.md on its way from a source into the archive: too long for `make test`."""

import pytest

from tests.acceptance.conftest import Say
from tests.support.verdicts import KEPT, REFUSED, archive_vectors


@pytest.mark.parametrize("takes_ranges", [True, False])
async def test_all_vectors_but_error_pages_and_empty_bodies_are_archived(
    environment: dict[str, str], takes_ranges: bool, say: Say
) -> None:
    """Each with its verdict, whether its structure is seen in ranges or in one stream."""
    await archive_vectors(environment, [*KEPT, *REFUSED], takes_ranges=takes_ranges)
    say(f"{len(KEPT)} files kept, {len(REFUSED)} refused")
