"""One recording from the call to the archive, with every result checked.

It runs twice through the same API of the app: with the Call Automation API and with the 2021 preview API. It prints its
progress in plain lines, and in the end what there is to see. The archived media and `summary.json` are in
`demo-output/`. What storage has in the end is kept for `make up`, which serves it with the page.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from local import checks, interrupt
from local.acs.identifiers import RESOURCE_ID
from local.loopback import http
from local.process import ProcessError
from local.report import Report, Step, StepError
from local.stack import DATA, HOSTS, LOGS, ROOT, Api, Stack, StackError, StackOptions
from local.story import Story

OUTPUT = ROOT / "demo-output"
# At one megabit a second a chunk has about eight seconds of video, so there are three chunks.
CHUNK_MAXIMUM_BYTES = 1_000_000
SHOWN: tuple[Api, ...] = ("today", "2021")
NAMES: dict[Api, str] = {"today": "Call Automation API", "2021": "2021 preview API"}
# With this id the app requires that callbacks carry a token signed by ACS; the preview had no tokens.
SETTINGS: dict[Api, dict[str, str]] = {"today": {"ACS_RESOURCE_ID": RESOURCE_ID}, "2021": {}}
# How the names in a folder of Azurite's begin.
_STORAGE = ("__azurite_db_", "__blobstorage__", "__queuestorage__", "AzuriteConfig")
TALK_SECONDS = (12, 8)
PAUSE_SECONDS = 10


async def place_call(story: Story, step: Step) -> None:
    """Place a call; the app gets its events from Event Grid, in 2021 also by callback."""
    body: dict[str, Any] = {"participants": ["Ada", "Grace"]}
    if story.api == "2021":
        body["callbackUri"] = f"{story.stack.app_url}/callbacks"
    story.call = await story.request("POST", f"{story.stack.acs_url}/emulator/calls", body, status=201)
    step.detail = "they are connected"


async def start(story: Story, step: Step) -> None:
    """Start the recording through the app."""
    url = f"{story.stack.app_url}/conversations/{story.call['conversationId']}/recordings"
    body = {"operationContext": "demo", "recordingStateCallbackUri": f"{story.stack.app_url}/callbacks"}
    story.recording_id = (await story.request("POST", url, body))["recordingId"]
    await story.mark()
    await story.expect_state("active")
    step.detail = "active"


async def talk(story: Story, step: Step) -> None:
    """Let the call continue."""
    seconds = TALK_SECONDS[0] if len(story.moments) == 1 else TALK_SECONDS[1]
    await story.pass_time(seconds)
    step.detail = f"{seconds} s on the emulator's clock"


async def pause(story: Story, step: Step) -> None:
    """Pause the recording and let some time pass, which must not be in the media."""
    await story.request("POST", f"{story.recording_url}/pause", {"operationContext": "demo"})
    await story.mark()
    await story.expect_state("inactive")
    await story.pass_time(PAUSE_SECONDS)
    step.detail = f"inactive, for {PAUSE_SECONDS} s on the emulator's clock"


async def resume(story: Story, step: Step) -> None:
    """Resume the recording."""
    await story.request("POST", f"{story.recording_url}/resume", {"operationContext": "demo"})
    await story.mark()
    await story.expect_state("active")
    step.detail = "active"


async def stop(story: Story, step: Step) -> None:
    """Stop the recording, then end the call."""
    await story.request("DELETE", story.recording_url, {"operationContext": "demo"})
    await story.mark()
    await story.expect_state("inactive")
    await story.request("DELETE", f"{story.stack.acs_url}/emulator/calls/{story.call['callId']}")
    step.detail = f"{story.recorded_seconds:.1f} s recorded, not counting the pause"


async def announce(story: Story, step: Step) -> None:
    """Wait for the file event to be delivered to the app."""

    async def look() -> dict[str, Any] | None:
        url = f"{story.stack.acs_url}/emulator/recordings/{story.recording_id}"
        recording: dict[str, Any] = await story.request("GET", url)
        report = await story.request("GET", f"{story.stack.acs_url}/emulator/subscriptions")
        pending = sum(subscription["pending"] for subscription in report["subscriptions"])
        return recording if recording["announced"] and recording["chunks"] and not pending else None

    story.recording = await story.wait_for("the file event hasn't been delivered", look)
    chunks = story.recording["chunks"]
    size = sum(chunk["bytes"] for chunk in chunks)
    step.detail = f"{len(chunks)} chunks, {size:,} bytes, announced and acknowledged"
    if len(chunks) < 2:
        raise StepError(f"the recording should have at least two chunks; it has {len(chunks)}")


async def ingest(story: Story, step: Step) -> None:
    """Wait until every chunk is in the staging container or already in the archive."""
    staging, archive = (story.blobs.get_container_client(name) for name in (checks.STAGING, checks.ARCHIVE))
    wanted = {f"{chunk['index']:05}-{chunk['documentId']}" for chunk in story.recording["chunks"]}
    seen: set[str] = set()

    async def look() -> bool:
        for container in (staging, archive):
            # Compared without the extension, which chunks in staging don't have yet.
            files = (name.rpartition("/")[2] for name in await checks.names(container) if not name.endswith(".json"))
            here = {file.rpartition(".")[0] for file in files} & wanted
            for name in sorted(here - seen):
                story.report.say(f"  {name}")
            seen.update(here)
        return seen == wanted

    await story.wait_for("not every chunk has been ingested", look)
    step.detail = f"{len(seen)} of {len(wanted)} chunks"


async def archive(story: Story, step: Step) -> None:
    """Wait for the manifest, which the app writes last."""
    container = story.blobs.get_container_client(checks.ARCHIVE)

    async def look() -> str | None:
        return await checks.find_manifest(container, story.recording["callId"])

    story.manifest = await story.wait_for("there is no manifest in the archive", look)
    story.facts["manifest"] = step.detail = f"{checks.ARCHIVE}/{story.manifest}"


async def check_bytes(story: Story, step: Step) -> None:
    """Fetch the archived chunks and compare them with what the emulator served."""
    container = story.blobs.get_container_client(checks.ARCHIVE)
    folder = story.manifest.removesuffix(checks.MANIFEST)
    for chunk in story.recording["chunks"]:
        file = story.output / f"{chunk['index']:05}-{chunk['documentId']}.mp4"
        blob = await checks.fetch_chunk(container, folder, chunk, file)
        await checks.check_metadata(container, folder, chunk)
        found = {name: chunk[name] for name in ("documentId", "index", "bytes", "sha256")}
        place = {"archivedBlob": f"{checks.ARCHIVE}/{blob}", "file": str(file.relative_to(story.output.parent))}
        story.chunks.append({"api": story.api, **found, **place})
    story.report.chunks += story.chunks
    await checks.check_manifest(container, story.manifest, story.recording["chunks"])
    step.detail = "length and SHA-256 are as served; metadata files are archived; the manifest lists all of it"


async def check_media(story: Story, step: Step) -> None:
    """Decode every frame and compare the duration with the recorded time."""
    seconds = 0.0
    for chunk in story.chunks:
        film = await asyncio.to_thread(checks.play, story.output.parent / chunk["file"])
        chunk |= {"frames": film.frames, "seconds": round(film.seconds, 2)}
        seconds += film.seconds
    if abs(seconds - story.recorded_seconds) > 1:
        raise StepError(f"the media last {seconds:.2f} s; {story.recorded_seconds:.2f} s were recorded")
    step.detail = f"{seconds:.1f} s of 1920x1080 video at 8 frames a second, without the pause"


async def check_staging(story: Story, step: Step) -> None:
    """Wait until nothing of the recording is left in staging."""
    container = story.blobs.get_container_client(checks.STAGING)

    async def look() -> bool:
        return not [name for name in await checks.names(container) if story.recording["callId"] in name]

    await story.wait_for("staging still holds blobs of the recording", look)
    step.detail = "no blobs left"


async def check_api(story: Story, step: Step) -> None:
    """Ask the app for the recording, and follow its link to a chunk."""
    key = story.manifest.removesuffix(checks.MANIFEST).rpartition("/")[2]
    await story.request("GET", f"{story.stack.app_url}/recordings/{key}")
    chunk = story.chunks[0]
    async with story.session.get(f"{story.stack.app_url}/recordings/{key}/chunks/{chunk['index']}/content") as answer:
        if answer.status != 200 or not answer.history:
            raise StepError(f"the link to chunk {chunk['index']} answered {answer.status}")
        size = len(await answer.read())
    if size != chunk["bytes"]:
        raise StepError(f"the link to chunk {chunk['index']} gave {size} bytes, not {chunk['bytes']}")
    story.facts["recordingKey"] = key
    step.detail = f"recording {key}"


STEPS: tuple[tuple[str, Callable[[Story, Step], Awaitable[None]]], ...] = (
    ("Place a call between Ada and Grace", place_call),
    ("Start the recording", start),
    ("Let them talk", talk),
    ("Pause the recording", pause),
    ("Resume the recording", resume),
    ("Let them talk again", talk),
    ("Stop the recording", stop),
    ("Receive the file event from Event Grid", announce),
    ("Ingest the chunks", ingest),
    ("Archive the recording", archive),
    ("Check the archived bytes", check_bytes),
    ("Play the archived media", check_media),
    ("Check that staging is empty", check_staging),
    ("Fetch a chunk through the app's link", check_api),
)


async def demo(options: StackOptions, output: Path) -> int:
    """Run the demo with both APIs; return 0 when every step succeeded."""
    report = Report()
    await asyncio.to_thread(clear, output)
    try:
        if options.data:
            await asyncio.to_thread(empty, options.data)
        for api in SHOWN:
            await run(replace(options, api=api, settings=SETTINGS[api], logs=options.logs / api), report, output / api)
    except (StepError, StackError, ProcessError) as error:
        report.facts["error"] = str(error)
    except Exception as error:
        report.facts["error"] = repr(error)
        await asyncio.to_thread((options.logs / "demo.log").write_text, traceback.format_exc())
    await asyncio.to_thread(report.write_summary, output / "summary.json")
    if not report.ok:
        failed_at = report.steps[-1].name if report.steps else "Start the stack"
        print(f"\nFailed at: {failed_at}\n  {report.facts.get('error')}\nLogs: {options.logs}")
        return 1
    print(f"\n{ending(report, Path(os.path.relpath(output)), is_kept=options.data == DATA)}")
    return 0


def ending(report: Report, output: Path, *, is_kept: bool) -> str:
    """Return what a person wants to know in the end: whether it worked, what there is to see, and what next."""
    lines = [f"All checks passed in {report.seconds:.0f} s, with both recording APIs:"]
    for api, name in NAMES.items():
        chunks = [chunk for chunk in report.chunks if chunk["api"] == api]
        size, seconds = (sum(chunk[member] for chunk in chunks) for member in ("bytes", "seconds"))
        lines += [
            f"  {name}: {len(chunks)} chunks, {size:,} bytes, {seconds:.0f} s of video.",
            f"    Each is in the archive byte for byte as ACS served it. The pause of {PAUSE_SECONDS} s is not in it.",
            f"    Play it: {output / chunks[0]['file']}",
        ]
    serves = "shows both recordings on its page, and " if is_kept else ""
    return "\n".join(
        [
            *lines,
            f"Each step, id and SHA-256 is in {output / 'summary.json'}.",
            f"Next: `make up` {serves}records calls of your own; docs/quickstart.md deploys it.",
        ]
    )


def empty(data: Path) -> None:
    """Delete what storage kept in an earlier run; raises StackError for a folder with anything else in it."""
    if not data.exists():
        return
    others = sorted(path.name for path in data.iterdir() if not path.name.startswith(_STORAGE))
    if others:
        raise StackError(f"{data} is to be emptied, but has more than storage: {others[0]}. Name another by --data.")
    shutil.rmtree(data)


def clear(output: Path) -> None:
    """Create the folders and delete the files of an earlier run; nothing else in them is touched."""
    for api in SHOWN:
        (output / api).mkdir(parents=True, exist_ok=True)
        for path in (output / api).glob("[0-9][0-9][0-9][0-9][0-9]-*.mp4"):
            path.unlink()
    (output / "summary.json").unlink(missing_ok=True)


async def run(options: StackOptions, report: Report, output: Path) -> None:
    """Start the stack, then run one step after the other; raises at the first that fails."""
    report.part = options.api
    async with contextlib.AsyncExitStack() as exits:
        async with report.step("Start Azurite, the ACS emulator and the app") as step:
            stack = await exits.enter_async_context(Stack(options))
            step.detail = f"app {stack.app_url}, emulator {stack.acs_url}, logs {stack.logs}"
        session = await exits.enter_async_context(http())
        blobs = await exits.enter_async_context(checks.storage(stack.storage_connection_string))
        story = Story(stack, session, blobs, report, options.api, output)
        report.facts[options.api] = story.facts
        for name, do in STEPS:
            async with report.step(name) as step:
                await do(story, step)


def main(argv: list[str]) -> int:
    """Run the demo; return 0 only if every check passed."""
    parser = argparse.ArgumentParser(prog="python -m local demo", description=__doc__)
    parser.add_argument("--host", choices=HOSTS, default="local", help="what runs the app (func: Core Tools)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="the folder for media and summary (default: demo-output)"
    )
    parser.add_argument(
        "--logs", type=Path, default=LOGS, help="the folder for the logs, one per process (default: .local/logs)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="the folder for what storage has, emptied first if nothing else is in it (default: .local/storage)",
    )
    arguments = parser.parse_args(argv)
    options = StackOptions(
        host=arguments.host,
        data=arguments.data.absolute(),
        logs=arguments.logs.absolute(),
        chunk_maximum_bytes=CHUNK_MAXIMUM_BYTES,
        announce_delay_seconds=0.5,
    )
    return interrupt.run(demo(options, arguments.output.absolute()))
