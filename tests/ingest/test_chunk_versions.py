"""recording/ingest/chunk.py: from a source without an ETag, a chunk is one version of the document or none."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web

from recording.app import App
from recording.errors import ChunkError, SourceGone
from recording.ingest import blocks
from recording.model.job import ChunkJob
from tests.support.facts import MIB, announce, proved, stored_sha256, with_blobs, with_limits
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import app_with_source, mp4, recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
# Of one length, and without a byte in common behind their boxes.
VERSIONS = [mp4(9 * MIB, letter) for letter in (b"a", b"b")]
LONG_AGO = "Wed, 14 Apr 2021 16:32:34 GMT"


@dataclass
class Changing:
    """A source whose bytes change between requests; `which` decides by the number of the request.

    A request whose number is in `refused` is answered with 404. `label` makes its validator, as a server would; it
    keeps conditions if it gets any and `conditional` says so. A response that is longer than `longest` breaks off; none
    has a range of more than `widest` bytes.
    """

    which: Callable[[int], int]
    label: Callable[[int], dict[str, str]] = lambda version: {}
    conditional: bool = False
    longest: int = 2**40
    widest: int = 2**40
    refused: range = range(0)
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/metadata"):
            return web.json_response({"resourceId": "x"})
        self.asked.append(request.headers.get("Range", ""))
        if len(self.asked) in self.refused:
            return web.Response(status=404)
        version = self.which(len(self.asked))
        body, headers = VERSIONS[version], self.label(version)
        validators = set(headers.values())
        if self.conditional and not {request.headers.get("If-Match", next(iter(validators), ""))} <= validators | {""}:
            return web.Response(status=412, headers=headers)
        span = request.http_range
        if self.conditional and request.headers.get("If-Range", "") not in validators | {""}:
            span = slice(None)
        first = span.start or 0
        last = min(span.stop or len(body), len(body), first + self.widest)
        headers |= {"Content-Range": f"bytes {first}-{last - 1}/{len(body)}", "Content-Length": str(last - first)}
        response = web.StreamResponse(status=206, headers=headers)
        await response.prepare(request)
        await response.write(body[first : min(last, first + self.longest)])
        if last - first > self.longest:
            assert request.transport is not None
            request.transport.abort()
        return response


@contextlib.asynccontextmanager
async def ingesting(environment: dict[str, str], source: Changing):  # type: ignore[no-untyped-def]
    """The app against this source, and a job, with three blocks to a document."""
    async with app_with_source(environment, source.answer) as built:
        app = with_limits(built, parallelism=3, largest_block=4 * MIB, block_pause_seconds=0.001)
        [job] = await announce(app, recording_of(DOCUMENT))
        yield app, job


async def what_is_archived(app: App, job: ChunkJob) -> int | None:
    """Return which version lies in staging, as proved; None if nothing does. A mixture fails."""
    if await app.clients.blobs.stat("staging", job.content_blob) is None:
        return None
    await proved(app, job)
    digests: list[str | None] = [hashlib.sha256(version).hexdigest() for version in VERSIONS]
    return digests.index(await stored_sha256(app, job))


async def at_last(app: App, job: ChunkJob) -> int | None:
    """Try a few times, as the queue does; return which version is kept."""
    for _ in range(3):
        with contextlib.suppress(ChunkError):
            await app.ingest.run(job)
        if (kept := await what_is_archived(app, job)) is not None:
            return kept
    return None


LABELS: dict[str, Callable[[int], dict[str, str]]] = {
    "nothing": lambda version: {},
    "weak": lambda version: {"ETag": f'W/"{version}"'},
    "the same weak one": lambda version: {"ETag": 'W/"1"'},
    "modified now": lambda version: {"Last-Modified": format_datetime(datetime.now(UTC), usegmt=True)},
    "modified": lambda version: {
        "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True) if version else LONG_AGO
    },
}
CHANGES: dict[str, Callable[[int], int]] = {
    "each time": lambda number: number % 2,
    "after the probe": lambda number: int(number > 1),
    "later": lambda number: int(number > 3),
}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("change", "conditional"), [("each time", False), ("after the probe", True), ("later", True)])
async def test_a_mixture_is_never_archived_as_complete(
    environment: dict[str, str], label: str, change: str, *, conditional: bool
) -> None:
    """Whatever the source says of its versions: what lies in staging is one of them."""
    source = Changing(CHANGES[change], LABELS[label], conditional=conditional)
    async with ingesting(environment, source) as (app, job):
        await app.ingest.run(job)

        assert await what_is_archived(app, job) is not None


@pytest.mark.parametrize("change", [*CHANGES, "in the second reading", "after the second reading"])
async def test_what_takes_several_requests_is_read_again_and_compared(environment: dict[str, str], change: str) -> None:
    """A source that breaks off long responses: two readings must be equal before a chunk is safe."""
    # A first request, four tries of the whole, then three requests to a reading, and four that overlap these.
    ends = {"in the second reading": 1 + 4 + 3 + 1, "after the second reading": 1 + 4 + 3 + 4}
    which = CHANGES.get(change, lambda number: int(number > ends[change]))
    source = Changing(which, longest=4 * MIB)
    async with ingesting(environment, source) as (app, job):
        kept = await at_last(app, job)

        expected = {"each time": None, "in the second reading": 1, "after the second reading": 0}
        assert expected.get(change, 1) == kept


@pytest.mark.parametrize("writes", [9, 12, 14])
async def test_blocks_of_an_attempt_before_are_compared_as_well(environment: dict[str, str], writes: int) -> None:
    """Between two attempts the bytes may have changed, and no validator tells: receipts alone are not trusted."""
    source = Changing(lambda number: 0, longest=4 * MIB)
    async with ingesting(environment, source) as (app, job):
        dying = FaultyBlobs(app.settings, kill_after=writes)
        with contextlib.suppress(Killed, BaseExceptionGroup):
            await with_blobs(app, dying).ingest.run(job)
        await dying.aclose()
        assert await what_is_archived(app, job) is None
        source.which = lambda number: 1

        assert await at_last(app, job) == 1


async def test_readings_go_on_where_the_attempt_before_ended(environment: dict[str, str]) -> None:
    """Of a source that has not changed nothing is fetched twice that is staged."""
    source = Changing(lambda number: 0, longest=4 * MIB)
    async with ingesting(environment, source) as (app, job):

        async def die() -> None:
            raise Killed

        # When the second reading has its first receipt.
        dying = FaultyBlobs(app.settings).on("stage_block", name="-again---", after=die)
        with contextlib.suppress(Killed, BaseExceptionGroup):
            await with_blobs(app, dying).ingest.run(job)
        await dying.aclose()
        staged = await app.clients.blobs.staged_blocks(job.content_blob)
        receipts = len([name for name in staged if not blocks.is_block(name)])
        source.asked.clear()

        await app.ingest.run(job)

        assert receipts > 3
        # A receipt that was on its way saves another request.
        assert len(source.asked) <= 1 + 3 + 4 - receipts
        assert await what_is_archived(app, job) == 0


async def test_an_old_date_identifies_the_bytes_and_nothing_is_read_twice(environment: dict[str, str]) -> None:
    """Last-Modified and the length are a validator once its second is long over."""
    source = Changing(lambda number: 0, lambda version: {"Last-Modified": LONG_AGO})
    async with ingesting(environment, source) as (app, job):
        await app.ingest.run(job)

        assert 3 == len(source.asked)
        assert await what_is_archived(app, job) == 0


async def test_one_request_is_enough_without_a_validator(environment: dict[str, str]) -> None:
    """Whatever one response has is of one version."""
    source = Changing(lambda number: 0)
    async with ingesting(environment, source) as (app, job):
        await app.ingest.run(job)

        assert [f"bytes=0-{4 * MIB - 1}", f"bytes=0-{9 * MIB - 1}"] == source.asked
        assert await what_is_archived(app, job) == 0


@pytest.mark.parametrize("label", [{"ETag": '"1"'}, {}])
async def test_a_source_that_sends_shorter_ranges_than_were_asked_for(
    environment: dict[str, str], label: dict[str, str]
) -> None:
    """With a validator the rest of a block is asked for; without one the blocks are as long as what it sends."""
    source = Changing(lambda number: 0, lambda version: label, widest=MIB)
    async with ingesting(environment, source) as (app, job):
        await app.ingest.run(job)

        assert await what_is_archived(app, job) == 0


async def test_readings_that_never_agree_are_an_error(environment: dict[str, str]) -> None:
    """The reason is on record, and nothing is committed."""
    source = Changing(lambda number: (number // 3) % 2, longest=4 * MIB)
    async with ingesting(environment, source) as (app, job):
        with pytest.raises(ChunkError):
            await app.ingest.run(job)

        assert await what_is_archived(app, job) is None


async def test_a_second_reading_that_fails_is_on_record_as_what_it_is(environment: dict[str, str]) -> None:
    """The failure of the source, which manifests list, and not that of a task."""
    # A first request, four tries of the whole, then three requests to the first reading.
    source = Changing(lambda number: 0, longest=4 * MIB, refused=range(1 + 4 + 3 + 1, 100))
    async with ingesting(environment, source) as (app, job):
        with pytest.raises(SourceGone):
            await app.ingest.run(job)

        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert chunk.reason is not None
        assert chunk.reason.startswith("SourceGone: ACS has no such document (404)")
