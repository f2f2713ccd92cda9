"""The relay keeps versions, soft-deleted ones, holds and policies under each reading of the documents."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobSasPermissions, ImmutabilityPolicy, generate_blob_sas
from azure.storage.blob.aio import BlobClient
from yarl import URL

from local.azurite import ACCOUNT, KEY, Azurite

from .storage_rig import Rig, open_rig

HELD, PROTECTED = "BlobImmutableDueToLegalHold", "BlobImmutableDueToPolicy"
NEXT_YEAR = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365)
POLICY = ImmutabilityPolicy(expiry_time=NEXT_YEAR, policy_mode="unlocked")


@pytest.fixture
async def rig(azurite: Azurite) -> AsyncIterator[Rig]:
    """Run a proxy that keeps versions for a day after they were deleted."""
    async with open_rig(azurite) as opened:
        await _keep(opened)
        yield opened


async def _keep(rig: Rig, **more: Any) -> None:
    await rig.control("PUT", "keeping", {"containers": "*", "softDeleteDays": 1, **more})


async def _put(rig: Rig, data: bytes = b"one", **more: Any) -> tuple[BlobClient, Any]:
    """Write a blob as a recording's copies are written, and return it with its version."""
    blob = rig.container.get_blob_client("folder/blob")
    await blob.stage_block("00000", data)
    done = await blob.commit_block_list([BlobBlock("00000")], metadata={"is": "kept"}, **more)
    return blob, done["version_id"]


async def _versions(rig: Rig, *include: str) -> list[tuple[str, bool, bool]]:
    """List versions: the id, whether it is current, whether it is deleted."""
    listed = rig.container.list_blobs("folder/", include=["versions", *include])
    return [(str(one.version_id), bool(one.is_current_version), bool(one.deleted)) async for one in listed]


async def _code(attempt: Any) -> tuple[int, str]:
    """Return how a call is refused."""
    with pytest.raises(HttpResponseError) as refused:
        await attempt
    answer: Any = refused.value.response
    return refused.value.status_code or 0, answer.headers.get("x-ms-error-code", "")


async def test_what_is_written_over_or_deleted_stays_a_version_with_its_own_bytes(rig: Rig) -> None:
    """And a version that never was is not the blob itself, as Azurite has it."""
    blob, first = await _put(rig, b"one")
    _, second = await _put(rig, b"another")
    assert await _versions(rig) == [(first, False, False), (second, True, False)]
    assert await (await blob.download_blob(version_id=first)).readall() == b"one"
    assert await (await blob.download_blob(1, 1, version_id=first)).readall() == b"n"
    assert (await blob.get_blob_properties(version_id=first)).metadata == {"is": "kept"}

    await blob.delete_blob()
    assert (await _code(blob.get_blob_properties()))[0] == 404
    assert await _versions(rig) == [(first, False, False), (second, False, False)]
    assert (await _code(blob.delete_blob(version_id="2021-01-01T00:00:00.0000000Z")))[0] == 404

    await blob.delete_blob(version_id=first)
    assert (await _code(blob.get_blob_properties(version_id=first)))[0] == 404
    assert await _versions(rig) == [(second, False, False)]
    assert await _versions(rig, "deleted") == [(first, False, True), (second, False, False)]


@pytest.mark.parametrize("allowed", [True, False])
async def test_only_what_is_soft_deleted_is_deleted_permanently_where_the_account_allows_it(
    rig: Rig, allowed: bool
) -> None:
    """Not what is still a version."""
    await _keep(rig, permanentDelete=allowed)
    blob, first = await _put(rig)
    await blob.delete_blob()
    permanently: Any = {"version_id": first, "blob_delete_type": "Permanent"}
    assert (await _code(blob.delete_blob(**permanently)))[0] == 409

    await blob.delete_blob(version_id=first)
    if allowed:
        await blob.delete_blob(**permanently)
    else:
        assert (await _code(blob.delete_blob(**permanently)))[0] == 409
    assert len(await _versions(rig, "deleted")) == (0 if allowed else 1)


@pytest.mark.parametrize("days", [0, 1])
async def test_without_versions_a_deleted_blob_is_gone_or_kept_for_the_days_of_soft_delete(rig: Rig, days: int) -> None:
    """It has no version id of its own to be deleted by."""
    await _keep(rig, versions=False, softDeleteDays=days)
    blob, version = await _put(rig)
    assert version is None

    await blob.delete_blob()
    assert [deleted for _, _, deleted in await _versions(rig, "deleted")] == [True] * days
    rig.proxy.versioned.clock = lambda: datetime.now(UTC) + timedelta(days=1)
    assert await _versions(rig, "deleted") == []


async def test_a_hold_and_a_policy_come_with_the_commit_and_are_listed(rig: Rig) -> None:
    """They are those of the version, not of the blob: one that is written over it has none."""
    blob, held = await _put(rig, legal_hold=True, immutability_policy=POLICY)
    found = await blob.get_blob_properties()
    assert (found.has_legal_hold, found.immutability_policy.expiry_time) == (True, NEXT_YEAR)

    await _put(rig, b"over it")
    listed = rig.container.list_blobs(include=["versions", "legalhold", "immutabilitypolicy"])
    assert [(one.version_id == held, one.has_legal_hold or False) async for one in listed] == [
        (True, True),
        (False, False),
    ]
    assert await _code(blob.delete_blob(version_id=held)) == (409, HELD)


@pytest.mark.parametrize("keeps_as_previous", [False, True])
async def test_a_plain_delete_of_what_is_on_hold_is_refused_or_leaves_a_version_on_hold(
    rig: Rig, keeps_as_previous: bool
) -> None:
    """The documents say both; under either nothing is lost before the hold is lifted."""
    await _keep(rig, keepsHeldAsPrevious=keeps_as_previous)
    blob, held = await _put(rig)
    await blob.set_legal_hold(True)
    if keeps_as_previous:
        await blob.delete_blob()
        assert await _code(blob.delete_blob(version_id=held)) == (409, HELD)
    else:
        assert await _code(blob.delete_blob()) == (409, HELD)
        assert await _code(blob.set_blob_metadata({"more": "of it"})) == (409, HELD)
    await blob.set_legal_hold(False, version_id=held)
    if not keeps_as_previous:
        await blob.delete_blob()
    await blob.delete_blob(version_id=held)
    assert await _versions(rig) == []


@pytest.mark.parametrize("deletes_current", [False, True])
async def test_the_current_version_is_deleted_by_its_id_or_not(rig: Rig, deletes_current: bool) -> None:
    """The documents don't say."""
    await _keep(rig, deletesCurrentById=deletes_current)
    blob, version = await _put(rig)
    if deletes_current:
        await blob.delete_blob(version_id=version)
    else:
        assert (await _code(blob.delete_blob(version_id=version)))[0] == 409
    assert len(await _versions(rig)) == (0 if deletes_current else 1)


async def test_an_unlocked_policy_may_be_shortened_and_removed_and_a_locked_one_only_extended(rig: Rig) -> None:
    """Until it ends, it refuses the deletion."""
    blob, version = await _put(rig, immutability_policy=POLICY)
    assert await _code(blob.delete_blob()) == (409, PROTECTED)
    soon = ImmutabilityPolicy(expiry_time=NEXT_YEAR - timedelta(days=30), policy_mode="unlocked")
    await blob.set_immutability_policy(soon)
    await blob.delete_immutability_policy()

    await blob.set_immutability_policy(ImmutabilityPolicy(expiry_time=NEXT_YEAR, policy_mode="locked"))
    assert await _code(blob.set_immutability_policy(soon)) == (409, PROTECTED)
    assert await _code(blob.delete_immutability_policy()) == (409, PROTECTED)

    rig.proxy.versioned.clock = lambda: NEXT_YEAR + timedelta(seconds=1)
    await blob.delete_blob()
    await blob.delete_blob(version_id=version)
    assert await _versions(rig) == []


async def test_the_default_policy_counts_where_a_version_brings_none(rig: Rig) -> None:
    """One of its own wins, and begins unlocked under a locked default."""
    await _keep(rig, defaultPolicyDays=10, defaultPolicyLocked=True)
    blob, _ = await _put(rig)
    found = (await blob.get_blob_properties()).immutability_policy
    assert found.policy_mode == "locked"
    assert found.expiry_time is not None
    assert found.expiry_time < NEXT_YEAR

    await _put(rig, b"over it", immutability_policy=POLICY)
    found = (await blob.get_blob_properties()).immutability_policy
    assert (found.policy_mode, found.expiry_time) == ("unlocked", NEXT_YEAR)


@pytest.mark.parametrize("actions", [[], ["hold"], ["hold", "policy"], ["deleteVersion"]])
async def test_the_identity_may_do_what_its_role_has(rig: Rig, actions: list[str]) -> None:
    """Whether a Contributor may set a hold is documented both ways: each action is a switch of its own."""
    blob, first = await _put(rig)
    await _put(rig, b"over it")
    await _keep(rig, actions=actions)
    attempts: dict[str, Callable[[], Any]] = {
        "hold": lambda: blob.set_legal_hold(True),
        "policy": lambda: _put(rig, b"again", immutability_policy=POLICY),
        "deleteVersion": lambda: blob.delete_blob(version_id=first),
    }
    for action, attempt in attempts.items():
        if action in actions:
            await attempt()
        else:
            assert (await _code(attempt()))[0] == 403


async def test_a_container_without_immutability_takes_neither_hold_nor_policy(rig: Rig) -> None:
    """The commit that asks for one is refused as a whole."""
    await _keep(rig, immutability=False)
    assert (await _code(_put(rig, immutability_policy=POLICY)))[0] == 409
    blob, _ = await _put(rig)
    assert (await _code(blob.set_legal_hold(True)))[0] == 409


async def test_an_answer_that_is_lost_was_carried_out_and_other_containers_are_as_azurite_has_them(rig: Rig) -> None:
    """The relay's own answers go wrong like the others."""
    blob, _ = await _put(rig)
    await rig.fault("lostAnswer", operation="SetBlobLegalHold", times=2)
    with pytest.raises(Exception, match=r".*"):
        await blob.set_legal_hold(True)
    assert (await blob.get_blob_properties()).has_legal_hold

    await _keep(rig, containers="others-*")
    assert (await _put(rig))[1] is None


async def test_what_is_deleted_while_it_is_listed_is_gone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azurite's list may be older than the deletion; a second deletion finds nothing, and what comes next is new."""
    await _put(rig)
    blob, _ = await _put(rig, b"two")
    versioned = rig.proxy.versioned
    real = versioned._service.get_container_client

    class Older:
        def __init__(self, name: str) -> None:
            self.name = name

        async def list_blobs(self, prefix: str, *, include: list[str]) -> AsyncIterator[Any]:
            listed = [one async for one in real(self.name).list_blobs(prefix, include=include)]
            await blob.delete_blob()
            for one in listed:
                yield one

    with monkeypatch.context() as patched:
        patched.setattr(versioned._service, "get_container_client", Older)
        assert [False, False] == [is_current for _, is_current, _ in await _versions(rig)]

    assert (404, "BlobNotFound") == await _code(blob.delete_blob())
    _, made = await _put(rig)
    assert [(made, True)] == [(version, current) for version, current, _ in await _versions(rig) if current]


async def test_a_link_to_a_version_has_these_bytes_and_no_others(rig: Rig) -> None:
    """Current or not, with the name under which it is saved; one that was changed, or has ended, is refused."""
    blob, first = await _put(rig, b"one")
    _, second = await _put(rig, b"another")
    now = datetime.now(UTC)

    def link(version: str, *, hours: int = 1) -> str:
        signed = generate_blob_sas(
            ACCOUNT,
            blob.container_name,
            blob.blob_name,
            account_key=KEY,
            permission=BlobSasPermissions(read=True),
            start=now - timedelta(hours=2),
            expiry=now + timedelta(hours=hours),
            version_id=version,
            content_disposition='attachment; filename="a.mp4"',
        )
        return f"{blob.url}?versionid={quote(version)}&{signed}"

    links = [link(first), link(second), link(first).replace("a.mp4", "b.mp4"), link(second, hours=-1)]
    got = []
    for one in links:
        async with rig.http.get(URL(one, encoded=True)) as answer:
            got.append((answer.status, await answer.read(), answer.headers.get("Content-Disposition")))
    assert [(200, b"one", 'attachment; filename="a.mp4"'), (200, b"another", 'attachment; filename="a.mp4"')] == got[:2]
    assert [403, 403] == [status for status, _, _ in got[2:]]
