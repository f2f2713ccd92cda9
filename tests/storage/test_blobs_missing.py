"""recording/storage/blobs.py: an answer that breaks off does not say that a blob is missing."""

import pytest
from azure.core.exceptions import IncompleteReadError

from local.azurite import Azurite
from tests.support.facts import harmed

_MISSING = {"kind": "cutBody", "operation": "GetBlob", "path": "*/none.json", "afterBytes": 10}


@pytest.mark.parametrize("cuts", [1, 2])
async def test_a_lookup_whose_answer_breaks_off_is_repeated(
    azurite: Azurite, environment: dict[str, str], cuts: int
) -> None:
    """The answer says 404 and loses its body: the client repeats only bodies of a 200."""
    async with harmed(azurite, environment, _MISSING | {"times": cuts}) as (app, _):
        assert await app.clients.blobs.read("archive", "none.json") is None


async def test_a_lookup_whose_answers_all_break_off_is_an_error(azurite: Azurite, environment: dict[str, str]) -> None:
    """It says nothing about the blob: who asked tries again."""
    async with harmed(azurite, environment, _MISSING | {"times": 9}) as (app, _):
        with pytest.raises(IncompleteReadError):
            await app.clients.blobs.read("archive", "none.json")
