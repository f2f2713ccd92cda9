"""The soak test, small: everything goes wrong, and nothing is lost."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# With this seed they have each form and type of files, one of several blocks, and each kind of event, one ten times.
RECORDINGS, SEED = 15, 45685


@pytest.mark.timeout(290)
async def test_soak(tmp_path: Path) -> None:
    """Fifteen recordings are whole in the archive or explained, whatever was injected and whoever was killed.

    By the Call Automation API: tests/acceptance/test_soak.py has a thousand by each.
    """

    command = [sys.executable, "-m", "local", "soak", "--recordings", str(RECORDINGS), "--seed", str(SEED), "--kills"]
    command += ["--api", "today"]
    command += ["--per-second", "6", "--limit", "240", "--out", str(tmp_path / "soak.json")]
    with (tmp_path / "output.txt").open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *command, "--logs", str(tmp_path / "logs"), cwd=ROOT, stdout=output, stderr=output
        )
        try:
            await asyncio.wait_for(process.wait(), 280)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    said = (tmp_path / "output.txt").read_text()
    assert process.returncode == 0, said[-6000:]
    found = json.loads((tmp_path / "soak.json").read_text())
    assert (found["ok"], found["api"], found["seed"], found["recordings"]) == (True, "today", SEED, RECORDINGS)
    assert {kind: found[kind] for kind in ("lost", "damaged", "duplicated", "unexplained")} == {
        "lost": 0,
        "damaged": 0,
        "duplicated": 0,
        "unexplained": 0,
    }
    assert found["explained"] > 0
    assert found["chunksCompared"] == found["chunks"] - found["explained"] > RECORDINGS
    assert {"host", "worker"} <= found["kills"].keys()
    assert found["secondHosts"] > 0
    assert found["hostStarts"] >= found["secondHosts"] + found["kills"]["host"]
    for place, least in (("source", 5), ("storage", 30), ("events", 15)):
        assert sum(found["faults"][place].values()) >= least, found["faults"]
    assert found["faults"]["events"]["bad"] > 0
    assert found["quarantined"] >= found["faults"]["events"]["bad"]
    assert found["notices"]["Recording.Quarantined"] >= found["quarantined"]
    assert found["notices"]["Recording.Archived"] + found["notices"]["Recording.Lost"] >= RECORDINGS
    assert found["rates"]["events"]["duplicates"] > 0
    for step in ("staged", "archived"):
        spread = found["secondsTo"][step]
        assert 0 < spread["p50"] <= spread["p95"] <= spread["p99"] <= spread["max"]
    assert [tenth["requestsPerRecording"] > 0 for tenth in found["growth"]["tenths"]] == [True] * 10
    assert found["growth"]["secondHalfToFirst"]["secondsToArchived"] > 0
    assert found["storageFaultsByOperation"]["PutMessage"]
    assert found["fetched"]["bytesFetchedPerByteKept"] >= 1
    assert found["fetched"]["requests"] > found["chunksCompared"]
    assert 0 < found["seconds"] < 240
