"""Where the archive has version-level immutability: policies come with the copies, and holds follow the facts."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite import Azurite
from local.storage_versions import Keeping
from recording.app import App
from recording.errors import Conflict
from recording.keeping.follow import Follow
from recording.model import index
from recording.model.manifest import Manifest
from tests.keeping.worlds import lift, on_platform, place, protected, retain
from tests.support.emulator import Control
from tests.support.erasures import ask, do
from tests.support.facts import add_fault, archived, stage, sweep


async def test_each_blob_of_a_recording_has_its_policy_and_its_hold(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """Until its class ends; a hold is set on all of them, and lifted with the last case."""
    async with protected(azurite, environment) as (app, proxy):
        [job, _] = await archived(app, control, 1000, 1000)
        key = job.recording_key
        assert {(False, True)} == await on_platform(app, key)
        commits = [one for one in proxy.log.view(999)["requests"] if one["operation"] == "SetBlobImmutabilityPolicy"]
        assert not [one for one in commits if "/chunks/" in one["path"] and not one["path"].endswith(".json")]

        await place(app, key, "case 1")
        await place(app, key, "case 2")
        assert {(True, True)} == await on_platform(app, key)
        await lift(app, key, "case 1")
        assert {(True, True)} == await on_platform(app, key)
        await lift(app, key, "case 2")
        assert {(False, True)} == await on_platform(app, key)

        with pytest.raises(Conflict, match=r"a policy of the archive keeps this recording until 2") as refused:
            await retain(app, key, "brief")
        assert "KeptLonger" == refused.value.error_code
        longer = await retain(app, key, "court")
        assert {longer.kept_until} == {*await app.keeping.keeping.policies(key)}


# What the platform has, and what is protected there then: (on hold, under a policy).
LACKS: dict[str, tuple[dict[str, object], set[tuple[bool, bool]]]] = {
    "no role": ({"actions": []}, {(False, False)}),
    "a role for holds only": ({"actions": ["hold"]}, {(True, False)}),
    "a role for policies only": ({"actions": ["policy"]}, {(False, True)}),
    "no such container": ({"immutability": False}, {(False, False)}),
    "no versions": ({"versions": False}, {(True, True)}),
}


async def test_what_the_platform_refuses_keeps_no_recording_from_the_archive(
    azurite: Azurite, environment: dict[str, str], control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported, and tried again by the timer, which ends when a role was given."""
    async with protected(azurite, environment) as (app, proxy):
        for lack, (keeping, expected) in LACKS.items():
            caplog.clear()
            proxy.versioned.keeping = Keeping.model_validate({"containers": app.settings.archive_container, **keeping})
            [job] = await archived(app, control, 1000)
            await place(app, job.recording_key, "case 1")
            assert expected == await on_platform(app, job.recording_key), lack
            is_whole = expected == {(True, True)}
            assert is_whole == ("recording.not_protected" not in caplog.text), lack
            assert (0 if is_whole else 1) == (await sweep(app)).not_kept, lack

            rights = {"actions": ["hold", "policy"], "immutability": True}
            proxy.versioned.keeping = proxy.versioned.keeping.model_copy(update=rights)
            assert 0 == (await sweep(app)).not_kept, lack
            assert {(True, True)} == await on_platform(app, job.recording_key), lack


async def test_a_platform_that_is_out_of_reach_for_a_moment_is_asked_again(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """The hold counts meanwhile."""
    async with protected(azurite, environment) as (app, proxy):
        [job] = await archived(app, control, 1000)
        add_fault(proxy, kind="status", status=503, operation="SetBlobLegalHold", times=None)
        answer = await place(app, job.recording_key, "case 1")
        assert ["case 1"] == [hold.case for hold in answer.holds]
        assert {(False, True)} == await on_platform(app, job.recording_key)

        proxy.faults.clear()
        await sweep(app)
        assert {(True, True)} == await on_platform(app, job.recording_key)


async def test_a_policy_never_ends_after_the_time_of_its_recording(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """What the timer deletes then isn't refused. The copies are made some time after the run has begun."""
    async with protected(azurite, environment) as (app, _):
        [job] = await stage(app, await control.recording(1000))
        assert (await sweep(app, now=datetime.now(UTC) - timedelta(minutes=5))).archived
        until = (await app.catalogue.detail(job.recording_key)).kept_until
        assert until is not None
        assert max(await app.keeping.keeping.policies(job.recording_key)) <= until
        assert until > datetime.now(UTC) + timedelta(days=89)


async def test_rows_that_are_written_while_an_erasure_deletes_them_do_not_stay(app: App, control: Control) -> None:
    """Whoever follows may have read the manifest before it was erased: an erased recording is found by nobody."""
    [job] = await archived(app, control, 1000)
    key, follow = job.recording_key, app.timer.follow
    before = await follow.find(key)
    await ask(app, key)
    assert key in await do(app)

    class Late(Follow):
        async def find(self, key: str) -> Manifest | None:
            return before

    late = Late(**{one.name: getattr(follow, one.name) for one in fields(Follow)})
    assert await late.now(key, [])

    page = await follow.index.page(index.search(await follow.index.digests()), limit=1000, token=None)
    assert key not in {one.recording_key for one in page.summaries}
