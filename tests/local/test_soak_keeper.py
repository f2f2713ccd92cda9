"""What a soak finds wrong with recordings that were held or erased, looked at from outside."""

import hashlib
import json

from local.azurite import Azurite
from local.soak import keeper

from .storage_rig import Rig, open_rig

KEY = "20260301T100000000000Z-3f2b0e4c"
FOLDER = f"2026/03/01/{KEY}"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


async def _put(rig: Rig, name: str, body: object = "") -> None:
    await rig.container.upload_blob(name, json.dumps(body), overwrite=True)


async def _wrong(rig: Rig, what: keeper.What) -> str:
    return "; ".join(await keeper.check(rig.container, {KEY: what}))


async def test_each_deletion_needs_its_record_and_what_is_held_its_blobs(azurite: Azurite) -> None:
    """Versions and soft-deleted ones count as there."""
    async with open_rig(azurite) as rig:
        await rig.control("PUT", "keeping", {"containers": "*"})
        assert "is on hold, and was erased" in await _wrong(rig, "hold")
        await _put(rig, f"{FOLDER}/recording.json")
        assert await _wrong(rig, "hold") == ""
        assert "1 blobs or versions are there" in await _wrong(rig, "erase")

        await rig.container.delete_blob(f"{FOLDER}/recording.json")
        assert "1 blobs or versions are there" in await _wrong(rig, "erase")
        assert "has no tombstone or no certificate" in await _wrong(rig, "expire")


async def test_a_certificate_says_what_is_there(azurite: Azurite) -> None:
    """One that lists something left, where nothing is, is not true."""
    async with open_rig(azurite) as rig:
        await _put(rig, f"tombstones/{DIGEST}.json")
        assert not await keeper.is_erased(rig.container, KEY)
        await _put(rig, f"erasures/{DIGEST}/00001-certificate-1.json", {"left": [{"place": "archive"}]})
        assert await keeper.is_erased(rig.container, KEY)
        assert "says that" in await _wrong(rig, "erase")

        await _put(rig, f"erasures/{DIGEST}/00001-certificate-2.json", {"left": []})
        assert await _wrong(rig, "erase") == ""
