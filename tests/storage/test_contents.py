"""recording/storage/contents.py: one pass over a blob's bytes, which holds up nobody."""

import pytest

from recording.app import App
from recording.storage.contents import read_contents
from tests.support.facts import MIB, put
from tests.support.turns import longest_step
from tests.support.vectors import box, chunk, fmt, moov_first, riff

# The test's own client hands blobs over in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body")


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(moov_first() + box(b"free") * (2 * MIB // 8), id="mp4"),
        pytest.param(riff(fmt(), chunk(b"data", bytes(4)), *[chunk(b"junk", b"")] * (2 * MIB // 8)), id="wav"),
    ],
)
async def test_a_file_of_tiny_boxes_does_not_hold_up_others(app: App, file: bytes) -> None:
    """Each of them costs microseconds, and a range has half a million."""
    await put(app.settings, "archive", "a", file)
    found = await app.clients.blobs.stat("archive", "a")
    assert found is not None

    read, longest = await longest_step(read_contents(app.clients.blobs, "archive", found))

    assert "complete" == read.verdict.outcome
    assert longest < 0.2
