"""benchmarks/contender.py: every contender really copies."""

import hashlib
from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import ContainerClient

from benchmarks import sdk
from benchmarks.contender import CONTENDERS, Contender
from benchmarks.document import document_id, filler
from benchmarks.place import CONTAINER, Place
from benchmarks.shaping import NONE
from benchmarks.source import handler
from benchmarks.wire import Server
from local.azurite import Azurite

SIZE = 9_000_001

# What the official client does with a block in memory: a contender is measured as it is.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture
async def source() -> AsyncIterator[Server]:
    """The source, unshaped."""
    async with Server(handler(), NONE) as running:
        yield running


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda one: one.name)
async def test_a_copy_is_whole(
    contender: Contender, source: Server, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blob in Azurite after a contender's copy is the document."""
    for module in sdk.CHECKED:
        monkeypatch.setattr(module, "validate_recording_url", lambda *_: None)
    document = document_id(SIZE, number=CONTENDERS.index(contender))
    place = Place(source.url, azurite.connection_string, f"{CONTAINER}-{contender.name.replace('_', '-')}")
    async with ContainerClient.from_connection_string(azurite.connection_string, place.container) as container:
        await container.create_container()
        async with ContainerClient.from_connection_string(azurite.connection_string, place.archive) as archive:
            await archive.create_container()

            async with contender.make(place) as steps:
                for step in steps:
                    await step(document)

            kept, name = (archive, place.archived(document)) if len(steps) > 1 else (container, place.blob(document))
            stored = await (await kept.download_blob(name)).readall()
    content = filler(document)
    assert content is not None
    assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(b"".join(content.pieces(0, SIZE))).hexdigest()
