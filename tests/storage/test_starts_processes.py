"""recording/storage/starts.py in processes of their own: workers that know nothing of each other start once."""

import asyncio
import os
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from local.process import Process
from recording.app import App
from tests.support.emulator import Control
from tests.support.starts import asked, tries

# What start_recording does for a caller with a key, with the settings of the environment, once the file is there.
CHILD = """
import asyncio, pathlib, sys
from recording.errors import StartInProgress
from recording.control.bodies import StartRecording
from recording.model.caller import Caller, RepeatKey
from recording.app import ready

async def main(conversation, key, go):
    app = await ready()
    caller = Caller(repeat_key=RepeatKey("Repeatability-Request-ID", key))
    print("ready", flush=True)
    while not pathlib.Path(go).exists():
        await asyncio.sleep(0.005)
    starts = (app.control.start(caller, conversation, StartRecording()) for _ in range(5))
    for told in await asyncio.gather(*starts, return_exceptions=True):
        if not isinstance(told, StartInProgress):
            print("told", told.recording_id, flush=True)
    print("done", flush=True)
    await app.aclose()

asyncio.run(main(*sys.argv[1:]))
"""
ROOT = Path(__file__).parents[2]


async def test_processes_that_start_at_once_start_one_recording(
    app: App, control: Control, environment: dict[str, str], tmp_path: Path
) -> None:
    """Two of them, each with five requests of one key: one start at ACS, and its id for whoever is answered."""
    call = str((await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"])
    go = tmp_path / "go"
    command = [sys.executable, "-c", CHILD, call, "one-key", str(go)]
    processes = [
        Process(f"p{n}", command, log=tmp_path / f"{n}.log", environment=os.environ | environment, folder=ROOT)
        for n in range(2)
    ]

    async with AsyncExitStack() as all_of_them:
        for process in processes:
            await all_of_them.enter_async_context(process)
        await asyncio.gather(*(process.wait_for("ready", seconds=30) for process in processes))
        go.touch()
        await asyncio.gather(*(process.wait_for("done", seconds=30) for process in processes))

    told = [re.findall(r"^told (\S+)$", process.log.read_text(), re.M) for process in processes]
    [recording] = (await control.call("GET", "recordings"))["recordings"]
    assert {recording["recordingId"]} == {one for some in told for one in some}
    assert (1, ["started"]) == (await asked(control), await tries(app))
