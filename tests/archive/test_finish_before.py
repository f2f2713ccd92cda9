"""recording/archive/finish.py: what the version before has left in staging is finished.

Its chunks are proved by a SHA-256 of what was read back, or committed and not proved yet, and its verdicts are facts.
"""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recording.app import App
from tests.support.archives import manifest_of
from tests.support.facts import listing, put, sweep
from tests.support.proved import KEY

# Written by that version: one chunk failed once, one is cut and was re-checked, the third was killed before its proof.
BEFORE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/in-flight-before.json").read_text())


@pytest.fixture
async def now(app: App) -> datetime:
    """Two hours after the blobs were written."""
    for name, blob in BEFORE.items():
        await put(app.settings, "staging", name, base64.b64decode(blob["body"]), **blob["metadata"])
    received = next(blob["metadata"]["received"] for name, blob in BEFORE.items() if "/events/" in name)
    return datetime.fromisoformat(received) + timedelta(hours=2)


async def test_what_was_in_flight_under_the_version_before_is_archived(app: App, now: datetime) -> None:
    """The chunk without a proof is waited for and gets one; the others are as they were."""
    waiting = await sweep(app, now=now)
    assert ([KEY], {}) == (waiting.waiting, await listing(app.settings, "archive"))
    [unproved] = waiting.jobs
    await app.ingest.run(unproved)

    report = await sweep(app, now=now)

    files, written = await listing(app.settings, "archive"), await manifest_of(app, KEY)
    assert ([KEY], {}, True) == (report.archived, await listing(app.settings, "staging"), written.complete)
    assert ["complete", "truncated", "complete"] == [entry.verdict for entry in written.chunks]
    assert ["sha256"] * 3 == [entry.copy_compared for entry in written.chunks]
    assert [1, 0, 0] == [len(entry.failures) for entry in written.chunks]
    for entry, name in zip(written.chunks, sorted(name for name in BEFORE if name.endswith(".media")), strict=True):
        assert entry.content is not None
        assert files[entry.content.blob] == entry.content.sha256
        assert BEFORE[name]["metadata"].get("sha256") in (None, entry.content.sha256)
    assert (await app.verifier.verify(KEY)).ok
