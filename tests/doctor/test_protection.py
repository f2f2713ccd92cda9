"""recording/doctor/protection.py: the setting and the archive's container agree, and nothing waits for the platform."""

import pytest

from local.azurite import Azurite
from recording.doctor.protection import examine_protection
from tests.keeping.worlds import protected
from tests.support.facts import put


@pytest.mark.parametrize(
    ("setting", "has_it", "pending", "expected"),
    [
        (True, True, False, ("ok", "in facts, and on the archive's blobs")),
        (False, False, False, ("ok", "in facts only")),
        (True, False, False, ("fail", "has no version-level immutability")),
        (False, True, False, ("warn", "the app doesn't use it")),
        (True, True, True, ("warn", "the index or the platform does not yet reflect what keeps 1 recording, such as")),
    ],
)
async def test_setting_and_container_are_compared(
    azurite: Azurite,
    environment: dict[str, str],
    setting: bool,
    has_it: bool,
    pending: bool,
    expected: tuple[str, str],
) -> None:
    """With what to do about it."""
    async with protected(azurite, environment, immutability=has_it) as (app, _):
        if pending:
            key = "20260301T100000000000Z-3f2b0e4c"
            await put(app.settings, "staging", f"pending-keeping/{key}/0123456789abcdef.json", b"{}")
        settings = app.settings.model_copy(update={"archive_immutability": setting})
        found = await examine_protection(settings, app.clients.blobs, app.keeping.keeping)

    assert expected[0] == found.mark
    assert expected[1] in found.detail
