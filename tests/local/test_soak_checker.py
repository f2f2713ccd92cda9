"""The checker of the soak test notices whatever is wrong with an archive that was made by hand."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from awscrt.checksums import crc64nvme
from azure.storage.blob.aio import BlobServiceClient

from local.acs.server import Emulator
from local.azurite import Azurite
from local.soak import notices
from local.soak.checker import Findings, Sent, check
from local.soak.source import Part, Source
from local.soak.watch import ARCHIVE, QUARANTINE, STAGING, key_of

# One worker runs them all: each would build the fixture of the module for itself.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("soak_checker")]
PARTS: tuple[tuple[Part, str], ...] = (("content", "mp4"), ("metadata", "json"))
MARKER = "soak-bad-000001"
Files = dict[str, bytes]


class Archive:
    """An archive by hand: one recording of two chunks, of which each test spoils something."""

    def __init__(self, source: Source, blobs: BlobServiceClient) -> None:
        self.source = source
        self.blobs = blobs

    async def make(self) -> tuple[dict[str, Any], Files]:
        """Make a recording and the files that its archive ought to hold."""
        body = {"media": {"kind": "filler", "chunkBytes": [600_000, 2_000]}, "announce": False}
        recording = await self.source.control("POST", "/recordings", body, status=201)
        key = key_of(recording)
        folder = f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}"
        files: Files = {}
        entries = []
        for chunk in recording["chunks"]:
            name = f"{folder}/chunks/{chunk['index']:05}-{chunk['documentId']}"
            for part, extension in PARTS:
                async with self.source.document(chunk, part=part) as content:
                    files[f"{name}.{extension}"] = await content.read()
            entries.append(
                {
                    "documentId": chunk["documentId"],
                    "outcome": "archived",
                    "content": {
                        "blob": f"{name}.mp4",
                        "bytes": chunk["bytes"],
                        "sha256": chunk["sha256"],
                        "crc64": f"{crc64nvme(files[f'{name}.mp4']):016x}",
                    },
                    "metadata": {"blob": f"{name}.json"},
                    "copyProvedAt": "2026-03-01T12:00:00Z",
                }
            )
        files[f"{folder}/recording.json"] = json.dumps({"revision": 1, "chunks": entries}).encode()
        return recording, files

    async def check(
        self,
        recording: dict[str, Any],
        files: Files,
        *,
        staged: tuple[str, ...] = (),
        expired: bool = False,
        changed: tuple[str, ...] = (),
    ) -> Findings:
        """Upload the files, with one bad event in quarantine, and check them."""
        for name, content in files.items():
            await self.blobs.get_blob_client(ARCHIVE, name).upload_blob(content, overwrite=True)
        for name in staged:
            await self.blobs.get_blob_client(STAGING, name).upload_blob(b"x", overwrite=True)
        quarantined = json.dumps({"event": MARKER})
        await self.blobs.get_blob_client(QUARANTINE, "a.json").upload_blob(quarantined, overwrite=True)
        sent = Sent([recording], {recording["recordingId"]} if expired else set(), {MARKER: None}, changed=set(changed))
        return await check(sent, source=self.source, blobs=self.blobs, queued=(0, 0))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Archive]:
    """An emulator and an Azurite for all tests here."""
    log = tmp_path_factory.mktemp("azurite") / "azurite.log"
    async with (
        Azurite(log=log) as azurite,
        Emulator() as acs,
        aiohttp.ClientSession() as session,
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
    ):
        yield Archive(Source(session, acs.endpoint, acs.options.access_key), blobs)


@pytest_asyncio.fixture(loop_scope="module")
async def archive(service: Archive) -> Archive:
    """The three containers, empty."""
    for name in (ARCHIVE, STAGING, QUARANTINE):
        container = service.blobs.get_container_client(name)
        if await container.exists():
            async for blob in container.list_blob_names():
                await container.delete_blob(blob)
        else:
            await container.create_container()
    return service


async def test_whole(archive: Archive) -> None:
    """An archive that is as it should be has nothing wrong with it."""

    findings = await archive.check(*await archive.make())

    assert findings.ok, findings
    assert (findings.chunks_compared, findings.bytes_kept, findings.quarantined) == (
        2,
        602_000,
        {"a.json": json.dumps({"event": MARKER})},
    )


def _content(files: Files) -> str:
    return next(name for name in files if name.endswith(".mp4"))


def _flip(files: Files) -> None:
    name = _content(files)
    middle = len(files[name]) // 2
    files[name] = files[name][:middle] + bytes([files[name][middle] ^ 1]) + files[name][middle + 1 :]


def _cut(files: Files) -> None:
    files[_content(files)] = files[_content(files)][:-1]


def _cut_metadata(files: Files) -> None:
    name = _content(files).replace(".mp4", ".json")
    files[name] = files[name][:-1]


def _lengthen(files: Files) -> None:
    files[_content(files)] += b"\0"


def _remove(files: Files) -> None:
    del files[_content(files)]


def _double(files: Files) -> None:
    name = _content(files)
    files["2020/01/01/20200101T000000000000Z-x/chunks/" + name.rpartition("/")[2]] = files[name]


def _add(files: Files) -> None:
    files[_content(files).rpartition("/chunks/")[0] + "/notes.txt"] = b""


def _change_entry(files: Files, change: Callable[[dict[str, Any]], object]) -> None:
    name = next(name for name in files if name.endswith("/recording.json"))
    manifest = json.loads(files[name])
    change(manifest["chunks"][0])
    files[name] = json.dumps(manifest).encode()


def _list_another_crc(files: Files) -> None:
    _change_entry(files, lambda entry: entry["content"].update(crc64="0" * 16))


def _list_no_proof(files: Files) -> None:
    _change_entry(files, lambda entry: entry.pop("copyProvedAt"))


def _remove_manifest(files: Files) -> None:
    del files[next(name for name in files if name.endswith("/recording.json"))]


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (_flip, "damaged", "differs from the source between bytes"),
        (_cut, "damaged", "before its source"),
        (_cut_metadata, "damaged", "before its source"),
        (_lengthen, "damaged", "differs from the source"),
        (_remove, "lost", "isn't in the archive"),
        (_double, "duplicated", "is archived 2 times"),
        (_add, "unexplained", "not a documented blob"),
        (_remove_manifest, "unexplained", "has no manifest"),
        (_list_another_crc, "unexplained", "the manifest lists"),
        (_list_no_proof, "unexplained", "doesn't say that"),
    ],
)
async def test_spoilt(archive: Archive, spoil: Callable[[Files], None], kind: str, says: str) -> None:
    """Whatever is spoilt in the archive is found, and called by its name."""

    recording, files = await archive.make()
    spoil(files)

    findings = await archive.check(recording, files)
    assert [sentence for sentence in getattr(findings, kind) if says in sentence], findings


async def test_a_copy_that_says_where_it_was_copied_from(archive: Archive) -> None:
    """The address of the source, which may have a signature, must not stay on the copy."""

    recording, files = await archive.make()
    await archive.check(recording, files)
    name = _content(files)
    client = archive.blobs.get_blob_client(ARCHIVE, name)
    await archive.blobs.get_blob_client(STAGING, "source").upload_blob(files.pop(name))
    await client.start_copy_from_url(archive.blobs.get_blob_client(STAGING, "source").url)
    await archive.blobs.get_blob_client(STAGING, "source").delete_blob()

    findings = await archive.check(recording, files)
    assert findings.unexplained == [f"{ARCHIVE}/{name} still says where it was copied from"]


async def test_left_in_staging(archive: Archive) -> None:
    """What is left in staging is unexplained."""

    findings = await archive.check(*await archive.make(), staged=("a/chunks/x.mp4",))

    assert findings.unexplained == [f"{STAGING}/a/chunks/x.mp4 is still there"]


async def test_called_lost(archive: Archive) -> None:
    """A chunk that the manifest calls lost though its source has it is lost; after it expired it is explained."""

    recording, files = await archive.make()
    manifest = next(name for name in files if name.endswith("/recording.json"))
    entries = [
        {"documentId": chunk["documentId"], "outcome": "lost", "reason": "gone"} for chunk in recording["chunks"]
    ]
    files = {manifest: json.dumps({"chunks": entries}).encode()}

    assert len((await archive.check(recording, files)).lost) == 2
    findings = await archive.check(recording, files, expired=True)
    assert (findings.ok, findings.explained) == (True, 2)


async def test_changed_in_staging(archive: Archive) -> None:
    """What the manifest calls not proved is so because the test has changed it; otherwise nothing excuses it."""
    recording, files = await archive.make()
    manifest = next(name for name in files if name.endswith("/recording.json"))
    entries = json.loads(files[manifest])["chunks"]
    name, document = entries[0]["content"]["blob"], entries[0]["documentId"]
    entries[0] |= {"outcome": "unproved", "reason": "other bytes", "content": {"blob": name, "sha256": None}}
    files[manifest] = json.dumps({"revision": 1, "chunks": entries}).encode()
    changed = f"/devstoreaccount1/{STAGING}/{key_of(recording)}/chunks/00000-{document}.media"

    right = await archive.check(recording, files, changed=(changed,))
    spoiled = files | {name: b"x" + files[name][1:]}
    told = await archive.check(recording, spoiled, changed=(changed,))
    alone = await archive.check(recording, spoiled)

    assert [f"{name} is listed as not proved, and has the bytes of its source"] == right.unexplained
    assert (True, {key_of(recording): 1}) == (told.ok, dict(told.spoiled))
    assert (False, 1) == (alone.ok, len(alone.damaged))


async def test_quarantine(archive: Archive) -> None:
    """A good event in quarantine and a bad one that isn't there are both unexplained."""

    recording, files = await archive.make()
    good = json.dumps({"event": "a good one"})
    await archive.blobs.get_blob_client(QUARANTINE, "b.json").upload_blob(good)

    findings = await archive.check(recording, files)
    assert findings.unexplained == [f"{QUARANTINE}/b.json is not one of the invalid events"]


async def test_quarantine_of_what_was_erased(archive: Archive) -> None:
    """Its erasure removes an invalid event of it; one that comes while the tombstone can't be read may be there."""

    recording, _ = await archive.make()
    there, removed, own = (f"soak-bad-{number:06}" for number in range(3))
    sent = Sent([], set(), {there: key_of(recording), removed: key_of(recording), own: None}, gone={key_of(recording)})
    await archive.blobs.get_blob_client(QUARANTINE, "c.json").upload_blob(json.dumps({"event": there}))

    findings = await check(sent, source=archive.source, blobs=archive.blobs, queued=(0, 0))
    assert findings.unexplained == [f"the invalid event {own} isn't in quarantine"]
    assert findings.quarantined == {}


async def test_notices(archive: Archive) -> None:
    """A recording whose result nobody published is unexplained; a fact under two ids is there twice."""

    recording, _ = await archive.make()
    sent, key = Sent([recording], set(), {}), key_of(recording)
    told = {"id": "1", "type": "Recording.Archived", "subject": key}

    blob = f"2026/03/01/sha256-{'0' * 32}.json"
    kept = {"id": "3", "type": "Recording.Quarantined", "data": {"blob": blob}}
    cases: dict[str, list[dict[str, Any]]] = {
        "told": [told, told, kept, kept],
        "nothing": [],
        "not told": [{**told, "type": "Recording.AtRisk"}, kept],
        "quarantine not told": [told],
        "two ids": [told, {**told, "id": "2"}, kept],
        "lost and archived": [told, {**told, "id": "2", "type": "Recording.Lost"}, kept],
        "quarantined under two ids": [told, kept, {**kept, "id": "4"}],
    }
    found: dict[str, tuple[int, int]] = {}
    for name, published in cases.items():
        findings = Findings(quarantined={blob: "{}"})
        notices.check(published, sent, findings)
        found[name] = len(findings.unexplained), len(findings.duplicated)
    assert found == {
        "told": (0, 0),
        "nothing": (2, 0),
        "not told": (1, 0),
        "quarantine not told": (1, 0),
        "two ids": (0, 1),
        "lost and archived": (0, 1),
        "quarantined under two ids": (0, 1),
    }


async def test_notices_of_two_forms() -> None:
    """Two hosts get an event in two forms: that of the second, whose subscription ends, need not be published."""
    sent = Sent([], set(), {"soak-bad-000001": None})
    first, second = (f"2026/03/01/sha256-{digit * 32}.json" for digit in "12")
    forms = {
        first: '{"eventType": "x", "id": "soak-bad-000001"}',
        second: '{"specversion": "1.0", "id": "soak-bad-000001"}',
    }
    found = {}
    for told in ((first, second), (first,), (second,), ()):
        findings = Findings(quarantined=forms)
        published = [{"id": name, "type": "Recording.Quarantined", "data": {"blob": name}} for name in told]
        notices.check(published, sent, findings)
        found[told] = len(findings.unexplained)

    assert {(first, second): 0, (first,): 0, (second,): 1, (): 2} == found
