"""The checks of the demo notice when something isn't true."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from azure.storage.blob.aio import ContainerClient

from local import checks
from local.azurite import Azurite
from local.demo import clear, empty
from local.report import StepError
from local.stack import StackError

FOLDER = "2026/01/02/key"
CONTENT = b"what was served"
CHUNK: dict[str, Any] = {
    "documentId": "0-eus-d1-0123456789abcdef0123456789abcdef",
    "index": 0,
    "bytes": len(CONTENT),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}
BLOB = f"{FOLDER}/chunks/00000-{CHUNK['documentId']}.mp4"


@pytest.fixture
async def archive(azurite: Azurite) -> AsyncIterator[ContainerClient]:
    async with checks.storage(azurite.connection_string) as blobs:
        yield await blobs.create_container(f"checks-{uuid.uuid4()}")


async def test_fetch_chunk(archive: ContainerClient, tmp_path: Path) -> None:
    """A chunk that is archived as it was served is fetched, and its blob named."""

    await archive.upload_blob(BLOB, CONTENT)

    assert BLOB == await checks.fetch_chunk(archive, FOLDER, CHUNK, tmp_path / "chunk.mp4")
    assert CONTENT == (tmp_path / "chunk.mp4").read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-1], "has 14 bytes; the emulator served 15"),
        (CONTENT[:-1] + b"X", "has SHA-256"),
        (None, "should be archived once; it is archived as nothing"),
    ],
)
async def test_fetch_chunk_differs(
    archive: ContainerClient, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """A chunk that is missing, cut or changed fails the step, and says how."""

    if content is not None:
        await archive.upload_blob(BLOB, content)

    with pytest.raises(StepError, match=reason):
        await checks.fetch_chunk(archive, FOLDER, CHUNK, tmp_path / "chunk.mp4")


async def test_check_manifest(archive: ContainerClient) -> None:
    """A manifest has to list each chunk with its own length and digest, however deep."""

    name = f"{FOLDER}/recording.json"
    entry = {"documentId": CHUNK["documentId"], "content": {"bytes": CHUNK["bytes"], "sha256": CHUNK["sha256"]}}
    await archive.upload_blob(name, json.dumps({"chunks": [entry]}))
    await checks.check_manifest(archive, name, [CHUNK])

    with pytest.raises(StepError, match="doesn't list"):
        await checks.check_manifest(archive, name, [{**CHUNK, "bytes": 1}])
    with pytest.raises(StepError, match="doesn't list"):
        await checks.check_manifest(archive, name, [CHUNK, {**CHUNK, "documentId": "0-eus-d1-other"}])


def test_play_refuses(tmp_path: Path) -> None:
    """A video of another size isn't what ACS records."""

    path = tmp_path / "small.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=8)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(8):
            picture = av.VideoFrame.from_ndarray(numpy.zeros((240, 320, 3), numpy.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(numpy.zeros((1, 1024), numpy.float32), format="fltp", layout="mono")
        sound.sample_rate = 16_000
        container.mux([*audio.encode(sound), *audio.encode()])

    with pytest.raises(StepError, match="is 320x240, not 1920x1080"):
        checks.play(path)


def test_clear(tmp_path: Path) -> None:
    """The output folder loses what an earlier demo left in it, and nothing else."""

    (tmp_path / "today").mkdir()
    for name in ("today/00000-0-eus-d1-x.mp4", "today/mine.mp4", "summary.json", "notes.txt"):
        (tmp_path / name).touch()
    clear(tmp_path)

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"today/mine.mp4", "notes.txt"} == left


def test_only_what_storage_kept_is_emptied(tmp_path: Path) -> None:
    """A folder that somebody names by mistake keeps everything; that of an earlier run goes."""
    (tmp_path / "__azurite_db_blob__.json").touch()
    (tmp_path / "letters").mkdir()
    with pytest.raises(StackError, match="has more than storage: letters"):
        empty(tmp_path)
    assert 2 == len(list(tmp_path.iterdir()))

    (tmp_path / "letters").rmdir()
    empty(tmp_path)
    empty(tmp_path)
    assert not tmp_path.exists()
