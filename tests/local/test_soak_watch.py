"""When a soak takes a recording for settled."""

import json
from contextlib import suppress

import pytest
from azure.core.exceptions import ResourceExistsError

from local.azurite import Azurite
from local.soak.watch import key_of, watching


@pytest.mark.parametrize(
    ("complete", "documents", "settled"),
    [(True, ["a", "b"], 1), (False, ["a", "b"], 1), (False, ["a"], 0)],
    ids=["complete", "one of them not proved", "one of them not listed"],
)
async def test_one_is_settled_when_each_chunk_has_an_outcome(
    azurite: Azurite, complete: bool, documents: list[str], settled: int
) -> None:
    """One that is not complete never becomes so: a run that waited for it would not end."""
    call = f"3f2b0e4c-0000-4000-8000-{len(documents):06}{int(complete):06}"
    chunks = [{"documentId": "a"}, {"documentId": "b"}]
    recording = {"startTime": "2026-03-01T10:00:00.0000000Z", "callId": call, "chunks": chunks}
    async with watching(azurite.connection_string) as (watch, _):
        with suppress(ResourceExistsError):
            await watch.archive.create_container()
        watch.add(recording, is_expired=False)
        await watch.look()
        assert watch.settled == 0

        manifest = {"complete": complete, "chunks": [{"documentId": one} for one in documents]}
        await watch.archive.upload_blob(f"2026/03/01/{key_of(recording)}/recording.json", json.dumps(manifest))
        await watch.look()
        assert watch.settled == settled
