"""recording/doctor/stores.py: storage that isn't fit for use is found, with how to fix it; nothing is left there."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from local.azurite import ACCOUNT, KEY, Azurite
from local.storage_versions import Keeping
from recording.app import App
from recording.model import layout
from tests.doctor.examined import WRONG_KEY, bad, closed_port, examine
from tests.support.facts import harmed, listing, put, sweep


def with_endpoint(environment: dict[str, str], service: str, port: int) -> str:
    """Write the account's connection string with one of its services elsewhere."""
    parts = environment["AzureWebJobsStorage"].split(";")
    there = f"{service}Endpoint=http://127.0.0.1:{port}/x"
    return ";".join(there if part.startswith(service) else part for part in parts)


@pytest.mark.usefixtures("app")
async def test_storage_that_is_down_is_told_once_and_soon(environment: dict[str, str]) -> None:
    """What depends on it is skipped; everything else is still examined."""
    begun = time.monotonic()

    found = await examine(environment, STAGING_STORAGE=with_endpoint(environment, "Blob", closed_port()))

    assert time.monotonic() - begun < 5
    assert {"blob storage"} == bad(found)
    assert ["skipped"] * 3 == [found[n].mark for n in ("staging container", "quarantine container", "archive copy")]
    assert ["ok"] * 4 == [found[n].mark for n in ("queue use", "chunks queue", "events queue", "ACS credentials")]


@pytest.mark.usefixtures("app")
async def test_a_wrong_storage_key_names_its_setting(environment: dict[str, str]) -> None:
    """The account answers, and refuses whatever is asked with that key."""
    wrong = environment["AzureWebJobsStorage"].replace(KEY, WRONG_KEY)

    found = await examine(environment, STAGING_STORAGE=wrong)

    assert {"staging container", "quarantine container", "archive copy"} == bad(found)
    assert "ok" == found["archive container"].mark
    assert "STAGING_STORAGE" in str(found["staging container"].fix)
    assert f"az storage account keys list -n {ACCOUNT}" in str(found["staging container"].fix)


async def test_what_is_missing_is_not_made_but_told_how_to_make(app: App, environment: dict[str, str]) -> None:
    """A name that is wrong would otherwise become a second archive."""
    found = await examine(environment, ARCHIVE_CONTAINER="no-such-archive")

    assert {"archive container", "archive copy"} == bad(found)
    assert "ContainerNotFound" in found["archive container"].detail
    assert f"container create --auth-mode login --account-name {ACCOUNT} --name no-such-archive" in str(
        found["archive container"].fix
    )
    assert {} == await listing(app.settings, "staging")
    again = await examine(environment, ARCHIVE_CONTAINER="no-such-archive")
    assert {"archive container", "archive copy"} == bad(again)


@pytest.mark.usefixtures("app")
async def test_an_archive_that_may_only_be_read(app: App, azurite: Azurite, environment: dict[str, str]) -> None:
    """A right that is missing shows in the check that needs it; nothing of the others stays behind."""
    sas = generate_account_sas(
        ACCOUNT,
        KEY,
        ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, list=True),
        datetime.now(UTC) + timedelta(hours=1),
    )

    found = await examine(environment, ARCHIVE_STORAGE=f"BlobEndpoint={azurite.blob_url};SharedAccessSignature={sas}")

    assert {"archive container", "archive copy"} == bad(found)
    assert "Authorization" in found["archive container"].detail
    assert "ARCHIVE_STORAGE" in str(found["archive container"].fix)
    assert {} == await listing(app.settings, "staging")


async def test_every_queue_of_the_app_is_examined(environment: dict[str, str], app: App) -> None:
    """None is left out, and none where the account doesn't answer."""
    found = await examine(environment)
    skipped = await examine(environment, AzureWebJobsStorage=with_endpoint(environment, "Queue", closed_port()))

    of_queues = {name: one.detail for name, one in found.items() if name.endswith(" queue")}
    # Other tests may have left messages.
    assert {queue.name for queue in app.clients.queues} == {detail.partition(":")[0] for detail in of_queues.values()}
    assert set(of_queues) == {name for name in skipped if name.endswith(" queue")}


@pytest.mark.parametrize(("name", "queue"), [("chunks queue", "chunk_queue"), ("export queue", "export_queue")])
async def test_missing_queues(environment: dict[str, str], app: App, name: str, queue: str) -> None:
    """The app's own queues are looked for, not made."""
    client = getattr(app.clients, queue)
    await client.delete_queue()

    found = await examine(environment)

    await client.create()
    assert {name} == bad(found)
    assert "az storage queue create" in str(found[name].fix)


@pytest.mark.parametrize(("name", "queue"), [("chunks queue", "chunk_poison"), ("export queue", "export_poison")])
async def test_messages_that_were_given_up_are_told(
    app: App, environment: dict[str, str], name: str, queue: str
) -> None:
    """To be looked at, no failure; the message isn't touched."""
    client = getattr(app.clients, queue)
    await client.create()
    await client.send("x")

    found = await examine(environment)

    assert ("warn", set()) == (found[name].mark, bad(found))
    assert "1 given up" in found[name].detail
    assert 1 == await client.depth()
    await client.delete_queue()


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("rule", "failed"),
    [
        ({"kind": "status", "status": 500, "operation": "PutBlockFromURL"}, {"archive copy"}),
        ({"kind": "status", "status": 409, "operation": "PutBlockList"}, {"archive copy"}),
        ({"kind": "hang", "seconds": 30, "operation": "PutBlob", "path": "*/archive-*"}, {"archive container"}),
        ({"kind": "corrupt", "operation": "GetBlob", "path": "*/quarantine-*"}, {"quarantine container"}),
        (
            {"kind": "status", "status": 409, "code": "BlobImmutableDueToPolicy", "operation": "DeleteBlob"},
            set(),
        ),
    ],
)
async def test_storage_that_does_one_thing_wrong(
    azurite: Azurite,
    environment: dict[str, str],
    rule: dict[str, Any],
    failed: set[str],
) -> None:
    """Each check does what the app does, so it fails with it; a policy that keeps blobs is no fault."""
    async with harmed(azurite, environment, {"times": 1000, **rule}) as (_, proxy):
        there = {"STAGING_STORAGE": proxy.connection_string, "ARCHIVE_STORAGE": proxy.connection_string}
        found = await examine(environment, timeout=0.8, **there)

    assert failed == bad(found)


@pytest.mark.derived
@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("keeps_by", "versions"), [("soft delete", False), ("versions", True)])
async def test_derived_files_need_an_account_that_forgets(
    azurite: Azurite, environment: dict[str, str], keeps_by: str, versions: bool
) -> None:
    """What is kept shows in a list that asks for it: an erased recording would live on in its joined file."""
    good = await examine(environment)
    async with harmed(azurite, environment) as (_, proxy):
        proxy.versioned.keeping = Keeping(containers="derived-*", versions=versions)
        found = await examine(environment, DERIVED_STORAGE=proxy.connection_string)

    assert (set(), "ok") == (bad(good), good["derived container"].mark)
    assert {"derived container"} == bad(found)
    assert f"{keeps_by} of the account would keep" in found["derived container"].detail
    assert "DERIVED_STORAGE" in str(found["derived container"].fix)


async def test_the_timer_passes_over_test_blobs(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """One that a killed examination has left belongs to no recording, and isn't warned of."""
    await put(app.settings, "staging", f"{layout.DOCTOR}/x.json", b"{}")

    assert [] == (await sweep(app)).jobs

    assert "staging.unknown" not in caplog.text
