"""One soak run: the stack, the load, faults and kills, the wait for the end, the check."""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from azure.storage.blob.aio import BlobServiceClient

from local.process import Process, ProcessError
from local.soak import checker, figures, growth, keeper, kept, notices, plan, rates
from local.soak.checker import Findings, Sent
from local.soak.growth import Sample
from local.soak.hosts import Hosts
from local.soak.keeper import Keeper
from local.soak.kept import Sentence
from local.soak.load import Load
from local.soak.source import SoakError, Source, request
from local.soak.watch import ARCHIVE, Watch, watching
from local.stack import ROOT, Api, Stack, StackOptions, child_environment

PROGRESS_SECONDS = 2.0
LOOK_SECONDS = 0.5
# For the comparison of the search index, which reads each manifest: at least, and for each recording.
_COMPARE_SECONDS, _COMPARE_SECONDS_EACH = 300.0, 0.1
# Small, so that a chunk of a few MiB has several blocks.
BLOCK_MIB = 4
FEWEST_KILLS, RECORDINGS_PER_KILL = 4, 15
# Kills and shifts end when only this share of the recordings is open, so that a run ends.
CALM_SHARE = 0.1
# Seconds instead of the minutes or hours in Azure.
SETTINGS = {
    "INGEST_BLOCK_MIB": str(BLOCK_MIB),
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:02",
    # Jobs that run at once share the CPU, so that with many none is done soon, and a kill costs all of them.
    "AzureFunctionsJobHost__extensions__queues__batchSize": "8",
    "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "4",
}
INVISIBLE_SECONDS = 8.0
SUBSCRIPTION = {"shuffle": True, "maxEventsPerBatch": 10, "timeScale": 0.01}
# With more recordings storage is kept on disk: in memory each write is an extent of its own, and Azurite's first
# garbage collection, after ten minutes, searches all extents for each of them, which blocks it for minutes (3.37.0).
IN_MEMORY_RECORDINGS = 400
# When the timer runs, and the seconds between two kills. A small run needs both many times within a minute; in a large
# one that would take a third of the CPU: a start takes two seconds of it, and a timer run reads all that is in flight,
# in each host.
SCHEDULE, LARGE_SCHEDULE = "*/3 * * * * *", "*/30 * * * * *"
KILL_EVERY_SECONDS, LARGE_KILL_EVERY_SECONDS = 6.0, 60.0
# How long the app believes that the source keeps a recording: what the source has deleted is given up after it. Longer
# than any recording takes in spite of the faults: bytes that staging didn't keep are found when they are copied, and
# are fetched again only until then. One of 1,500 chunks, four of which are fetched at a time, takes twelve minutes.
# On a machine that does other things as well, the last of a small run takes a hundred seconds; what the source has
# deleted is waited for until then.
# The few of a test take half as long.
RETENTION_SECONDS, LARGE_RETENTION_SECONDS = 120.0, 900.0
FEW_RECORDINGS, FEW_RETENTION_SECONDS = 20, 60.0
# For how long a queue delivers a message again, as hours would be to a day; a run ends only when that is over.
REDELIVERY_SECONDS, LARGE_REDELIVERY_SECONDS = 25.0, 300.0
TRICKLE_SECONDS, LARGE_TRICKLE_SECONDS = 5.0, 45.0
# After how long the timer queues a chunk again. In a large run the queue's own tries come first, as in Azure: what is
# queued twice is done twice (at 0.25 minutes 2,705 jobs for 395 recordings, at 1.0 some 1,750 for 375).
RESCUE_MINUTES, LARGE_RESCUE_MINUTES = 0.1, 1.0


@dataclass(frozen=True)
class Options:
    """The options of a run; `faults` multiplies all rates (0: none), `limit_seconds` limits all but the check."""

    api: Api
    recordings: int
    seed: int
    has_kills: bool
    faults: float
    per_second: float
    limit_seconds: float
    logs: Path
    data: Path | None
    keeps: bool = False

    @property
    def kills(self) -> int:
        """Return how many processes are killed at most, not counting a second host at the end of its shift."""
        return max(FEWEST_KILLS, self.recordings // RECORDINGS_PER_KILL) if self.has_kills else 0

    @property
    def kill_every_seconds(self) -> float:
        """Return the mean time between two kills."""
        return LARGE_KILL_EVERY_SECONDS if self.is_large else KILL_EVERY_SECONDS

    @property
    def retention_hours(self) -> float:
        """Return how long the app believes that the source keeps a recording."""
        if self.is_large:
            return LARGE_RETENTION_SECONDS / 3600
        return (FEW_RETENTION_SECONDS if self.recordings <= FEW_RECORDINGS else RETENTION_SECONDS) / 3600

    @property
    def redelivery_seconds(self) -> float:
        """Return for how long a queue delivers a message again."""
        return LARGE_REDELIVERY_SECONDS if self.is_large else REDELIVERY_SECONDS

    @property
    def trickle_seconds(self) -> float:
        """Return how long a body trickles."""
        return LARGE_TRICKLE_SECONDS if self.is_large else TRICKLE_SECONDS

    @property
    def rescue_minutes(self) -> float:
        """Return after how long the timer queues a chunk again."""
        return LARGE_RESCUE_MINUTES if self.is_large else RESCUE_MINUTES

    @property
    def is_large(self) -> bool:
        """Return whether the run is a long one."""
        return self.recordings > IN_MEMORY_RECORDINGS


@dataclass
class Soak:
    """The parts of a running soak test."""

    options: Options
    stack: Stack
    source: Source
    watch: Watch
    hosts: Hosts
    load: Load
    started: float
    keeper: Keeper | None = None
    samples: list[Sample] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Return the seconds since the load began."""
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        """Print a line with the seconds since the load began."""
        print(f"[{self.seconds:6.1f} s] {text}", flush=True)

    async def storage(self, path: str) -> dict[str, Any]:
        """Read from the storage proxy's control plane; without faults there is no proxy, and nothing to read."""
        if not self.stack.storage_control_url:
            return {}
        found: dict[str, Any] = await request(self.source.session, "GET", f"{self.stack.storage_control_url}{path}")
        return found

    async def messages_to_come(self) -> int:
        """Return how many messages the queues still deliver again."""
        return int((await self.storage("/messages")).get("toCome", 0))

    async def faults(self) -> dict[str, dict[str, int]]:
        """Count the faults so far, by place and kind."""
        found = {"events": {kind: count for kind, count in self.load.events.items() if count}}
        if self.options.faults:
            source, storage = await self.source.control("GET", "/chaos"), await self.storage("/chaos")
            found |= {"source": source["injected"], "storage": storage["injected"]}
        return found


async def run(options: Options) -> dict[str, Any]:
    """Do a complete run and return its figures, including "ok"; raises what ends it early."""
    stack_options = StackOptions(
        api=options.api,
        logs=options.logs,
        data=options.data,
        storage_faults=options.faults > 0,
        keeping=keeper.KEEPING if options.keeps else None,
        invisible_seconds=INVISIBLE_SECONDS,
        subscription=SUBSCRIPTION,
        settings=SETTINGS
        | {
            "RESCUE_MINUTES": str(options.rescue_minutes),
            "SOURCE_RETENTION_HOURS": str(options.retention_hours),
            # The same share of it as by default: otherwise every chunk would be reported as at risk at once.
            "RISK_HOURS": str(options.retention_hours / 3),
        }
        | (keeper.SETTINGS if options.keeps else {}),
        archive_schedule=LARGE_SCHEDULE if options.is_large else SCHEDULE,
    )
    print(
        f"{options.recordings} recordings, seed {options.seed}; starting the stack, logs in {options.logs}", flush=True
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
    async with (
        Stack(stack_options) as stack,
        aiohttp.ClientSession(timeout=timeout) as session,
        watching(stack.direct_storage_connection_string) as (watch, blobs),
    ):
        source = Source(session, stack.acs_url, stack.acs_connection_string.partition("accesskey=")[2])
        planned = plan.recordings(
            options.recordings,
            seed=options.seed,
            per_second=options.per_second,
            api=options.api,
            retention_hours=options.retention_hours,
        )
        load = Load(source, watch, planned)
        async with contextlib.aclosing(Hosts(stack, source)) as hosts:
            soak = Soak(options, stack, source, watch, hosts, load, time.monotonic())
            if options.keeps:
                soak.keeper = Keeper(source, watch, stack.app_url, stack.entra)
            await _start_chaos(soak)
            is_settled = await _run_load(soak)
            await _stop_chaos(soak)
            took = soak.seconds
            soak.say("comparing the archive with the source")
            requests = (await source.control("GET", "/requests"))["requests"]
            by_recording = await soak.storage("/recordings")
            changed = set((await soak.storage("/changed")).get("blobs", ()))
            queued = await watch.queued()
            # The app is asked, too: while it runs.
            sentences = await _check_kept(soak, soak.keeper) if soak.keeper else []
        recordings = (await source.control("GET", "/recordings"))["recordings"]
        gone = soak.keeper.gone if soak.keeper else set[str]()
        sent = Sent(recordings, load.expired, load.bad_markers, load.forms, gone, changed)
        findings = await checker.check(sent, source=source, blobs=blobs, queued=queued)
        findings.unexplained += [f"{one.text}: {wrong}" for one in sentences for wrong in one.wrong]
        published = (await source.control("GET", "/topic/events"))["events"]
        notice_counts = notices.check(published, sent, findings)
        wrong = sum(map(len, (findings.lost, findings.damaged, findings.duplicated, findings.unexplained)))
        soak.say(f"{findings.chunks_compared} chunks compared, {wrong} things wrong; comparing the search index")
        index = await compare_index(stack, seconds=_COMPARE_SECONDS + _COMPARE_SECONDS_EACH * options.recordings)
        soak.say(f"search index: {index}")
        return {
            "ok": is_settled and findings.ok and index.endswith(" 0 differ"),
            "index": index,
            **_figures(soak, findings, requests),
            "growth": growth.read(watch.archived, by_recording, samples=soak.samples),
            "notices": notice_counts,
            "kept": dict(Counter(one.what for one in soak.keeper.done.values())) if soak.keeper else {},
            "sentences": [str(one) for one in sentences],
            "faults": await soak.faults(),
            "storageFaultsByOperation": (await soak.storage("/chaos")).get("injectedByRoute", {}),
            "storageRequests": (await soak.storage("/requests?limit=0")).get("totals", {}),
            "open": [one.key for one in watch.open.values()],
            "seconds": round(took, 1),
        }


async def compare_index(stack: Stack, *, seconds: float) -> str:
    """Have the app compare its search index with the manifests; return what it says last, or why it says nothing.

    A comparison that fails fails the run, and what the run has found until then is kept.
    """
    command = [sys.executable, "-m", "recording", "reindex", "--compare"]
    log = stack.logs / "reindex.log"
    try:
        async with Process(
            "The comparison", command, log=log, environment=child_environment(stack.settings()), folder=ROOT
        ) as process:
            said = await process.wait_for(r"(\d+ recordings compared with their rows, .*)", seconds=seconds)
    except ProcessError as failed:
        return f"not compared: {failed}"
    return said[1]


async def _check_kept(soak: Soak, its_keeper: Keeper) -> list[Sentence]:
    """Look through the proxy, which has no faults any more, at what was held or erased: it shows versions."""
    deleted = (await soak.storage(f"/deletions?container={ARCHIVE}"))["recordings"]
    async with BlobServiceClient.from_connection_string(
        soak.stack.storage_connection_string, use_env_settings=False
    ) as blobs:
        return await kept.check(blobs, its_keeper.done, deleted=deleted, get=its_keeper.get)


async def _run_load(soak: Soak) -> bool:
    """Run the load and wait until all is settled; return False if the time limit is reached first."""
    options = soak.options
    async with contextlib.AsyncExitStack() as exits:
        background = [soak.watch.run(), _print_progress(soak), _sample(soak)]
        trouble: list[Coroutine[Any, Any, None]] = []
        if options.has_kills:
            trouble = [
                soak.hosts.kill_on(
                    plan.kills(options.kills, seed=options.seed, every_seconds=options.kill_every_seconds)
                ),
                soak.hosts.work_shifts(plan.shifts(seed=options.seed, is_long=options.is_large)),
            ]
        tasks = [await exits.enter_async_context(_running(one)) for one in background]
        troubles = [await exits.enter_async_context(_running(one)) for one in trouble]
        loading = await exits.enter_async_context(_running(soak.load.run()))
        if soak.keeper:
            tasks.append(await exits.enter_async_context(_running(soak.keeper.run(soak.load.made_by_key))))
        while soak.seconds < options.limit_seconds:
            for task in (*tasks, *troubles, loading):
                if task.done() and not task.cancelled():
                    task.result()
            soak.hosts.check()
            if loading.done() and len(soak.watch.open) <= CALM_SHARE * options.recordings:
                soak.hosts.calm()
            if loading.done() and all(task.done() for task in troubles) and await _is_settled(soak):
                return True
            await asyncio.sleep(LOOK_SECONDS)
        soak.say(f"the limit of {options.limit_seconds:g} s is reached: {await _state(soak)}")
        for one in list(soak.watch.open.values())[:10]:
            soak.say(f"  open: {one.key}")
        return False


async def _is_settled(soak: Soak) -> bool:
    """Return whether every recording is archived, every event delivered, and staging and queues are empty."""
    if soak.watch.open or soak.watch.staging_blobs:
        return False
    if soak.keeper and not soak.keeper.is_done():
        return False
    report = await soak.source.control("GET", "/subscriptions")
    if any(one["pending"] for one in report["subscriptions"]):
        return False
    if await soak.messages_to_come() or any(await soak.watch.queued()):
        return False
    # Checked again: a delivery may have added something since the last look.
    await soak.watch.look()
    return not soak.watch.staging_blobs and not any(await soak.watch.queued())


async def _print_progress(soak: Soak) -> None:
    while True:
        soak.say(await _state(soak))
        await asyncio.sleep(PROGRESS_SECONDS)


async def _sample(soak: Soak) -> None:
    """Keep how many requests that name no recording there were by when."""
    while True:
        settled, log = soak.watch.settled, await soak.storage("/requests?limit=0")
        soak.samples.append(Sample(settled, log.get("forNone", 0)))
        await asyncio.sleep(PROGRESS_SECONDS)


async def _state(soak: Soak) -> str:
    faults = await soak.faults()
    queued, poisoned = await soak.watch.queued()
    injected = sum(sum(found.values()) for place, found in faults.items() if place != "events")
    return (
        f"{soak.load.made}/{soak.options.recordings} announced, {soak.watch.settled} settled, "
        f"{len(soak.watch.open)} open, {soak.watch.staging_blobs} blobs in staging, {queued} queued, "
        f"{poisoned} poisoned, {injected} faults, {sum(soak.hosts.kills.values())} kills, {soak.hosts.count} hosts"
    )


async def _start_chaos(soak: Soak) -> None:
    seed, scale = soak.options.seed, soak.options.faults
    if not scale:
        return
    chaos = rates.source_chaos(seed, scale, trickle_seconds=soak.options.trickle_seconds)
    await soak.source.control("POST", "/chaos", chaos, status=201)
    storage = f"{soak.stack.storage_control_url}/chaos"
    body = rates.storage_chaos(seed, scale, redelivery_seconds=soak.options.redelivery_seconds)
    await request(soak.source.session, "POST", storage, body, status=201)


async def _stop_chaos(soak: Soak) -> None:
    if soak.options.faults:
        await soak.source.control("DELETE", "/chaos")
        await request(soak.source.session, "DELETE", f"{soak.stack.storage_control_url}/chaos")
    await soak.source.control("DELETE", "/faults")


def _figures(soak: Soak, findings: Findings, requests: list[dict[str, Any]]) -> dict[str, Any]:
    options = soak.options
    return {
        "recordings": len(soak.load.recordings),
        "chunks": soak.load.chunks,
        **figures.verdict(findings),
        "explained": findings.explained,
        "spoiled": findings.spoiled.total(),
        "chunksCompared": findings.chunks_compared,
        "quarantined": len(findings.quarantined),
        "manifestsRevised": sum(count > 1 for count in findings.manifests.values()),
        "kills": dict(soak.hosts.kills),
        "hostStarts": soak.hosts.starts,
        "secondHosts": soak.hosts.second_hosts,
        "secondsTo": {
            "staged": figures.seconds(soak.watch.staged_seconds.values()),
            "archived": figures.seconds(one.seconds for one in soak.watch.archived),
        },
        "fetched": figures.fetched(requests, bytes_kept=findings.bytes_kept, chunks=soak.load.chunks),
        "api": options.api,
        "seed": options.seed,
        "rates": {
            "events": plan.event_rates(),
            "source": rates.source_chaos(options.seed, options.faults, trickle_seconds=options.trickle_seconds),
            "storage": rates.storage_chaos(options.seed, options.faults, redelivery_seconds=options.redelivery_seconds),
            "recordingsPerSecond": options.per_second,
            "killEverySeconds": options.kill_every_seconds if options.has_kills else None,
        },
    }


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await _cancel([task])


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


__all__ = ["Options", "SoakError", "run"]
