"""recording/doctor/erasures.py: what is left of a blob that is erased."""

import pytest
from azure.core.exceptions import ServiceRequestError

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from local.storage_versions import Action, Keeping
from recording.app import App
from recording.config.settings import Settings, read_settings
from recording.doctor.erasures import examine_erasure
from recording.model import layout
from recording.storage.blobs import Blobs
from tests.support.faults import FaultyBlobs


@pytest.mark.parametrize(
    ("actions", "mark", "detail"),
    [
        (["deleteVersion", "permanentDelete"], "ok", "nothing is left"),
        (["deleteVersion"], "warn", "stays as a version (soft-deleted"),
        ([], "warn", "stays as a version (AuthorizationPermissionMismatch"),
    ],
)
async def test_what_is_left_with_each_role(
    app: App, azurite: Azurite, environment: dict[str, str], actions: list[Action], mark: str, detail: str
) -> None:
    """The fix is a parameter; nothing of the check stays that could be removed."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy:
        proxy.versioned.keeping = Keeping(actions=actions, permanentDelete=True)
        blobs = Blobs(read_settings(environment | {"ARCHIVE_STORAGE": proxy.connection_string}))
        try:
            found = await examine_erasure(blobs)
        finally:
            await blobs.aclose()

    assert (found.mark, detail in found.detail, bool(found.fix)) == (mark, True, mark == "warn")
    assert [] == [blob.name async for blob in app.clients.blobs.list_blobs("archive", layout.DOCTOR)]


async def test_an_archive_that_is_down_is_told_elsewhere(settings: Settings) -> None:
    """By the check of its container."""
    down = FaultyBlobs(settings).on("create", raises=ServiceRequestError("down"))
    try:
        assert "skipped" == (await examine_erasure(down)).mark
    finally:
        await down.aclose()
