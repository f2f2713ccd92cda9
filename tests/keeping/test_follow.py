"""Where the archive has version-level immutability: policies come with the copies, and holds follow the facts."""

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite import Azurite
from local.storage_versions import Keeping
from recording.app import App
from recording.catalogue.browse import ListQuery
from recording.errors import Conflict
from recording.keeping import follow
from recording.keeping.follow import Follow
from recording.model import index, layout
from recording.model.manifest import Manifest
from recording.model.stored import StoredBlob
from recording.storage.keeping import KeepingStore
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
        # With the writes of events, metadata files, content and manifest.
        assert "SetBlobImmutabilityPolicy" not in {one["operation"] for one in proxy.log.view(999)["requests"]}

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
    key, following = job.recording_key, app.timer.follow
    before = await following.find(key)
    await ask(app, key)
    assert key in await do(app)

    class Late(Follow):
        async def find(self, key: str) -> Manifest | None:
            return before

    late = Late(**{one.name: getattr(following, one.name) for one in fields(Follow)})
    assert await late.now(key, [])

    page = await following.index.page(index.search(await following.index.digests()), limit=1000, token=None)
    assert key not in {one.recording_key for one in page.summaries}


@pytest.mark.parametrize("which", ["the archive job", "another change"])
async def test_a_hold_that_is_placed_meanwhile_is_not_lifted(
    azurite: Azurite, environment: dict[str, str], control: Control, which: str
) -> None:
    """Whoever has read the facts before it was placed reads them again at the end."""
    async with protected(azurite, environment) as (app, _):
        [job] = await stage(app, await control.recording(1000))
        key = job.recording_key
        if which == "another change":
            await sweep(app)

        class Late(KeepingStore):
            is_late = True

            async def protect(self, key: str, *, hold: bool, until: datetime | None) -> int:
                if self.is_late:
                    self.is_late = False
                    await place(app, key, "case 1")
                    assert {(True, True)} == await on_platform(app, key)
                return await super().protect(key, hold=hold, until=until)

        late = Late(app.clients.blobs, app.keeping.keeping.classes, is_immutable=True)
        if which == "another change":
            assert await replace(app.timer.follow, keeping=late).now(key, [])
        else:
            await sweep(app, archives_all=False)
            await replace(app.archive, keeping=late).run(key)

        assert {(True, True)} == await on_platform(app, key)
        assert [key] == [one.recording_key for one in (await app.catalogue.page(ListQuery(hold=True))).recordings]
        assert {} == await app.keeping.keeping.pending()


async def test_what_is_refused_again_and_again_keeps_nobody_from_his_turn(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a run has room for: another run looks at others."""
    monkeypatch.setattr(follow, "_MOST", 1)
    seen: set[str] = set()

    class Refusing(Follow):
        async def now(self, key: str, markers: Iterable[str]) -> bool:
            seen.add(key)
            return False

    refusing = Refusing(**{one.name: getattr(app.timer.follow, one.name) for one in fields(Follow)})
    markers = [StoredBlob(layout.pending_keeping_blob(f"key-{number}", "x"), 2, "") for number in range(3)]
    assert [3] * 60 == [await refusing.catch_up(markers) for _ in range(60)]

    assert 3 == len(seen)
