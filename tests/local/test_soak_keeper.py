"""What a soak finds wrong with recordings that were held or erased, looked at from outside."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from local.azurite import Azurite
from local.soak import kept
from local.soak.kept import Done
from local.soak.watch import ARCHIVE, STAGING

from .storage_rig import Rig, open_rig

TIME = "2026-03-01T10:00:00+00:00"
RECORDING = {"recordingId": "id=", "chunks": [{"documentId": "doc"}]}
ERASED = (404, {"code": "Erased"})
TRUE: dict[str, Any] = {"removed": {"chunks": 1}, "left": [], "reason": "not-needed", "askedAt": TIME, "begunAt": TIME}


class World:
    """An archive behind the proxy, which keeps versions, and an app that answers what the test says."""

    def __init__(self, rig: Rig, service: BlobServiceClient, key: str) -> None:
        self.rig = rig
        self.key = key
        self.folder = kept.folder(key)
        self.digest = kept.digest(key)
        self.archive: ContainerClient = service.get_container_client(ARCHIVE)
        self.answers: dict[str, tuple[int, Any]] = {f"recordings/{key}": ERASED}
        self.list_erasures(self.digest)
        self._service = service

    def list_erasures(self, *ids: str) -> None:
        """Let the app list these erasures as done, in two pages."""
        pages = [[{"erasureId": one, "state": "erased"}] for one in ids] + [[{"erasureId": "x", "state": "asked"}]]
        for number, page in enumerate(pages):
            path = "erasures?limit=200" + (f"&cursor={number}" if number else "")
            more = {"cursor": str(number + 1)} if number + 1 < len(pages) else {}
            self.answers[path] = (200, {"erasures": page, **more})

    async def put(self, name: str, body: object = "") -> None:
        """Write JSON."""
        await self.archive.upload_blob(name, json.dumps(body), overwrite=True)

    async def erase(self, **changes: object) -> None:
        """Write tombstone and certificate, with changes."""
        digests = [kept.digest(text) for text in (self.key, "id", "doc")]
        tombstone = {"reason": "not-needed", "at": TIME, "documents": digests[2:]}
        await self.put(f"tombstones/{self.digest}.json", tombstone)
        certificate = {**TRUE, "checkedAt": TIME, "digests": digests, **changes}
        await self.put(f"erasures/{self.digest}/00001-certificate-1.json", certificate)

    async def wrong(self, done: Mapping[str, Done], deleted: Iterable[str] = ()) -> list[str]:
        """Return what contradicts each of the four sentences."""

        async def get(path: str) -> tuple[int, Any]:
            return self.answers[path]

        found = await kept.check(self._service, done, deleted=deleted, get=get)
        assert [str(one).startswith("NOT TRUE") for one in found] == [bool(one.wrong) for one in found]
        return ["; ".join(one.wrong) for one in found]


@asynccontextmanager
async def world(azurite: Azurite, name: str) -> AsyncIterator[World]:
    """Open one with a recording of its own."""
    key = f"20260301T100000000000Z-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"
    async with (
        open_rig(azurite) as rig,
        BlobServiceClient.from_connection_string(rig.proxy.connection_string) as service,
    ):
        await rig.control("PUT", "keeping", {"containers": ARCHIVE})
        for container in (ARCHIVE, STAGING):
            with suppress(ResourceExistsError):
                await service.create_container(container)
        yield World(rig, service, key)


async def test_what_is_on_hold_keeps_every_blob(azurite: Azurite) -> None:
    """One that is deleted, replaced, or not on hold in storage is told; so is a tombstone."""
    async with world(azurite, "held") as one:
        one.list_erasures()
        blob = one.archive.get_blob_client(f"{one.folder}recording.json")
        await blob.upload_blob("1")
        done = {one.key: Done("hold", RECORDING, {blob.blob_name: (await blob.get_blob_properties()).etag})}
        assert "is not on hold in storage" in (await one.wrong(done))[0]
        await blob.set_legal_hold(True)
        assert await one.wrong(done) == ["", "", "", ""]

        await one.put(f"tombstones/{one.digest}.json")
        assert "is on hold, and was erased" in (await one.wrong(done))[0]
        await one.archive.delete_blob(f"tombstones/{one.digest}.json")
        await blob.set_legal_hold(False)
        await blob.upload_blob("2", overwrite=True)
        await blob.set_legal_hold(True)
        assert "was deleted or replaced" in (await one.wrong(done))[0]


async def test_what_is_erased_is_nowhere(azurite: Azurite) -> None:
    """Versions and soft-deleted blobs count, and what the app still shows."""
    async with world(azurite, "erased") as one:
        done = {one.key: Done("erase", RECORDING)}
        await one.erase()
        assert await one.wrong(done, [one.key]) == ["", "", "", ""]

        one.answers[f"recordings/{one.key}"] = (200, {"recordingKey": one.key})
        assert "the app answers 200" in (await one.wrong(done))[1]
        await one.put(f"{one.folder}recording.json")
        await one.archive.delete_blob(f"{one.folder}recording.json")
        returned, record = (await one.wrong(done))[1::2]
        assert "1 blobs or versions are there" in returned
        assert "lists [] as left, and ['" in record


async def test_each_deletion_needs_its_record(azurite: Azurite) -> None:
    """A certificate, a tombstone, and a place in the app's list of erasures; storage itself says what was deleted."""
    async with world(azurite, "deleted") as one:
        done = {one.key: Done("expire", RECORDING)}
        assert "has no tombstone or no certificate" in (await one.wrong(done))[2]
        one.list_erasures()
        await one.erase()
        assert "the app lists 0 erasures that are done, not the 1" in (await one.wrong(done))[2]
        assert "were deleted, and nobody asked for it" in (await one.wrong({}, [one.key]))[2]

        path = f"deletions?container={ARCHIVE}"
        assert one.key not in (await one.rig.control("GET", path))["recordings"]
        await one.put(f"{one.folder}recording.json")
        await one.archive.delete_blob(f"{one.folder}recording.json")
        assert one.key in (await one.rig.control("GET", path))["recordings"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"removed": {"chunks": 2}}, "says that 2 of 1 chunks were removed"),
        ({"left": [{"place": "archive"}]}, "as left, and [] are there"),
        ({"digests": []}, "which it should not, or doesn't"),
        ({"reason": "unlawful"}, "has the reason unlawful, not not-needed"),
        ({"askedAt": "2026-03-02T10:00:00+00:00"}, "has times out of order"),
    ],
)
async def test_a_certificate_says_what_is_there(azurite: Azurite, changes: dict[str, Any], expected: str) -> None:
    """What it claims is compared with what the emulator made and with what storage has."""
    async with world(azurite, expected) as one:
        await one.erase(**changes)
        assert expected in (await one.wrong({one.key: Done("erase", RECORDING)}))[3]
