"""Recordings of people, archived and in flight, whose metadata files name who took part."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from recording.app import App
from tests.support.facts import container, receive, run_timer
from tests.support.source import Host, mp4, today

ADA, GRACE, PHONE = "8:acs:ada_1", "8:acs:grace_2", "4:+14255550123"


async def recorded(app: App, host: Host, number: int, people: Iterable[str]) -> str:
    """Record a call of people, and return its recording key: it is in staging."""
    event: dict[str, Any] = today(host.add(mp4(1000), people=people), event_id=f"e{number}")
    event["data"]["recordingStartTime"] = f"2026-03-01T10:{number:02}:00.0000000Z"
    event["subject"] = event["subject"].replace("cmlk", f"cmlk{number:04}")
    [job] = await receive(app, event)
    await app.ingest.run(job)
    return job.recording_key


async def archive(app: App) -> None:
    """Archive everything that is in staging."""
    await run_timer(app, now=datetime.now(UTC))


async def named_in_metadata_files(app: App, person: str) -> set[str]:
    """Read every metadata file of the archive and of staging: the recordings of those that name a person."""
    found = set()
    for where in ("archive", "staging"):
        async with container(app.settings, where) as blobs:
            async for name in blobs.list_blob_names():
                if "/chunks/" in name and name.endswith(".json"):
                    said = json.loads(await (await blobs.download_blob(name)).readall())
                    if any(one["participantId"] == person for one in said.get("participants", [])):
                        found.add(name.split("/chunks/")[0].rpartition("/")[2])
    return found
