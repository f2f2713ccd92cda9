"""recording/archive/review.py: an event's time is a claim, and `lost` needs evidence."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from recording.app import App
from recording.archive.review import to_requeue
from recording.model.attempts import FIRST_RESCUE, QUEUE_TRIES, Attempts, Failure
from recording.model.events import FileStatusUpdated
from recording.model.layout import attempt_id, began_blob, fan_out_blob
from recording.model.recording import InFlightChunk
from recording.model.stored import StoredBlob
from recording.timer import in_order
from tests.support.archives import HOUR, LATE, at, give_up, lose, manifest_of, outcomes
from tests.support.emulator import Control, file_event
from tests.support.facts import announce, container, listing, receive, stage, sweep
from tests.support.manifests import KEY, RETENTION, START, event, metadata, recording

MINUTE = timedelta(minutes=1)
FALSE = ("2001-01-01T00:00:00Z", "2999-12-31T23:59:59Z")


@pytest.mark.parametrize("false", FALSE)
async def test_a_second_event_with_a_false_time_loses_no_chunk_in_flight(
    app: App, control: Control, false: str
) -> None:
    """It is fetched, even in the last hour that ACS has it."""
    made = await control.recording(1000)
    [job] = await announce(app, made)
    await announce(app, made, event_id="false", eventTime=false)

    last = datetime.now(UTC) + RETENTION - HOUR
    reports = [await sweep(app, now=now) for now in (datetime.now(UTC), last)]
    await app.ingest.run(job)
    archive = await sweep(app, now=last)

    assert [[], []] == [report.incomplete for report in reports]
    assert [job.document_id] == [one.document_id for one in reports[1].jobs]
    assert [job.recording_key] == archive.archived


@pytest.mark.parametrize("false", FALSE)
async def test_a_recording_with_a_false_time_is_due_in_the_end(app: App, control: Control, false: str) -> None:
    """Whether it is staged, or lost on evidence: the manifest says which attempt found nothing."""
    [staged] = await stage(app, await control.recording(1000), eventTime=false)
    [lost] = await announce(app, await control.recording(1000), eventTime=false)
    assert [staged.recording_key] == (await sweep(app)).archived

    await lose(app, control, lost)
    report = await sweep(app, now=datetime.now(UTC) + LATE)

    written = await manifest_of(app, lost.recording_key)
    [entry] = written.chunks
    assert ([lost.recording_key], ["lost"]) == (report.incomplete, outcomes(written))
    assert entry.evidence is not None
    assert entry.expires_at is not None
    assert ("SourceGone", True) == (entry.evidence.code, entry.evidence.began >= entry.expires_at)


async def test_an_event_that_comes_hours_late_is_urgent_and_not_given_up(app: App, control: Control) -> None:
    """A dead letter of two days ago is tried, and warned of, until an attempt after its receipt and retention fails."""
    begun = datetime.now(UTC)
    [job] = await announce(app, await control.recording(1000), eventTime=(begun - LATE).isoformat())

    hours = range(0, 50, 7)
    reports = [await sweep(app, now=begun + hour * HOUR) for hour in hours]

    assert [1] * len(hours) == [len(report.jobs) for report in reports]
    assert [[]] * len(hours) == [report.incomplete for report in reports]
    assert [job.recording_key] == (await sweep(app, now=await give_up(app, job))).incomplete


async def test_without_an_attempt_nothing_is_lost_and_warnings_go_on(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A queue that runs no job is no evidence: a chunk that ACS no longer has to keep is queued and reported."""
    await announce(app, await control.recording(1000))

    reports = [await sweep(app, now=datetime.now(UTC) + days * 24 * HOUR) for days in (3, 4, 5)]

    assert [(1, [])] * 3 == [(len(report.jobs), report.incomplete) for report in reports]
    assert 3 == caplog.text.count("chunk.at_risk")


async def test_an_event_that_an_older_version_kept_was_received_when_it_was_written(app: App, control: Control) -> None:
    """Its blob says nothing of its receipt."""
    [job] = await announce(app, await control.recording(1000), eventTime=FALSE[0])
    [name] = await listing(app.settings, "staging")
    async with container(app.settings, "staging") as blobs:
        await blobs.get_blob_client(name).set_blob_metadata({"announced": FALSE[0]})

    [chunk] = (await app.recordings.load(job.recording_key)).chunks

    assert timedelta(0) <= datetime.now(UTC) + RETENTION - chunk.expires_at < MINUTE


async def test_recordings_are_ordered_by_what_is_plausible(app: App, control: Control) -> None:
    """One that claims the year 2999 has its turn with those that came with it."""
    now = datetime.now(UTC)
    for number, (time, received) in enumerate(
        ((now - 1 * HOUR, now), (FALSE[1], now - 2 * HOUR), (now - 3 * HOUR, now), (FALSE[1], now))
    ):
        claimed = time.isoformat() if isinstance(time, datetime) else time
        made = await control.recording(500)
        await receive(app, file_event(made, event_id=str(number), eventTime=claimed), now=received)

    found = in_order(await app.recordings.in_flight(), late=now - 36 * HOUR)

    assert [2, 1, 0, 3] == [int(blobs[0].name.rpartition("/")[2].removesuffix(".json")) for blobs in found.values()]


async def test_a_quarantined_event_was_received_when_it_was_quarantined(app: App, control: Control) -> None:
    """And not when it is replayed, so that what ACS has deleted since is lost on the first attempt."""
    text = json.dumps(file_event(await control.recording(1000)))
    long_ago = datetime.now(UTC) - LATE
    [job] = await receive(at(app, long_ago), text)

    await lose(app, control, job)

    assert [job.recording_key] == (await sweep(app)).incomplete


def killed(*began: datetime) -> list[StoredBlob]:
    """Return the records of attempts that began and did not end."""
    return [StoredBlob(began_blob(KEY, "a-0", attempt_id(one, f"{n}")), 2, "e") for n, one in enumerate(began)]


def test_an_attempt_that_was_killed_is_no_evidence() -> None:
    """Until as many were killed as the queue tries: nobody waits for ever."""
    expired = START + RETENTION
    found = [recording([event("a-0")], killed(*[expired] * n)).chunks[0] for n in (1, QUEUE_TRIES - 1, QUEUE_TRIES)]

    assert [False, False, True] == [chunk.is_lost for chunk in found]


CLAIMS = some.one_of(
    some.sampled_from((datetime(2001, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC))),
    some.integers(-4000, 4000).map(lambda minutes: START + minutes * MINUTE),
)
# When an event is received, in minutes after the first, and what it claims.
EVENTS = some.lists(some.tuples(some.integers(0, 4000), CLAIMS), max_size=5)


# Without a deadline: how long one set takes says nothing.
@settings(deadline=None)
@given(first=CLAIMS, others=EVENTS, outage=some.integers(0, 3500), seed=some.randoms(use_true_random=False))
def test_any_set_of_claimed_times_loses_nothing_that_acs_has(
    first: datetime, others: list[tuple[int, datetime]], outage: int, seed: object
) -> None:
    """It is always tried again within an hour, fetched once that is possible, and due in the end.

    A simulation in steps of five minutes: ACS refuses until `outage`, and has the chunk for the retention.
    """
    assert hasattr(seed, "shuffle")
    claims = [(0, first), *others]
    seed.shuffle(claims)
    received = [
        event("a-0", id=f"e{n}", time=claimed, received_at=START + after * MINUTE)
        for n, (after, claimed) in enumerate(claims)
    ]
    has_it_until, note, tried, now = START + RETENTION, None, START, START
    while True:
        here = [one for one in received if one.received <= now]
        found = recording(here, [], {"a-0": note} if note else None)
        [chunk] = found.chunks
        assert not (now < has_it_until and chunk.is_lost)
        assert chunk.announced_at <= START
        if found.is_over:
            assert now >= has_it_until
            break
        if to_requeue(found, now, first=FIRST_RESCUE):
            if START + outage * MINUTE <= now < has_it_until:
                break  # fetched
            assert now - tried <= 4 * FIRST_RESCUE + 5 * MINUTE
            tried = now
            note = (note or Attempts(next_at=now)).with_requeue(now)
            note = note.with_failure(Failure(at=now, code="x", message=str(now)))
        now += 5 * MINUTE
        assert now < has_it_until + 2 * HOUR


def bounds(one: FileStatusUpdated) -> InFlightChunk:
    """Return the chunk of one event."""
    return recording([one], []).chunks[0]


def test_urgency_counts_from_the_earliest_plausible_time() -> None:
    """Not after the receipt, and not before ACS would have deleted it; expiry counts from the receipt."""
    hour = START + 60 * HOUR
    claims = {
        START + 50 * HOUR: START + 50 * HOUR,
        START + 61 * HOUR: hour,
        datetime(2999, 1, 1, tzinfo=UTC): hour,
        datetime(2001, 1, 1, tzinfo=UTC): hour - RETENTION,
    }
    found = [bounds(event("a-0", time=claimed, received_at=hour)) for claimed in claims]

    assert list(claims.values()) == [chunk.announced_at for chunk in found]
    assert {hour + RETENTION} == {chunk.expires_at for chunk in found}


@pytest.mark.parametrize("has_record", [True, False])
def test_close_to_its_deadline_a_chunk_does_not_wait_for_the_end_of_a_fan_out(has_record: bool) -> None:
    """Others of it are still being fetched; one that failed long ago, or whose message got lost, is tried again."""
    late, long_ago = START + 0.8 * RETENTION, START + 0.5 * RETENTION
    fan_outs = [StoredBlob(fan_out_blob(KEY, attempt_id(long_ago, "0a")), 2, "e")]
    other = StoredBlob(metadata("a-1").name, 10, "e", written_at=late - MINUTE)
    failed = Attempts(next_at=long_ago).with_failure(Failure(at=long_ago, code="x", message="y"))
    attempts = {"a-0": failed, "a-1": failed} if has_record else {}

    def queued(now: datetime, *more: StoredBlob) -> list[str]:
        found = recording([event("a-0", "a-1")], [*fan_outs, other, *more], attempts)
        return [chunk.document_id for chunk in to_requeue(found, now, first=FIRST_RESCUE)]

    assert ["a-0", "a-1"] == queued(late)
    assert [] == queued(late, StoredBlob(fan_out_blob(KEY, attempt_id(late - MINUTE, "0b")), 2, "e"))
    early = StoredBlob(metadata("a-1").name, 10, "e", written_at=long_ago + HOUR)
    fan_out_at_work = recording([event("a-0", "a-1")], [*fan_outs, early], attempts)
    assert [] == to_requeue(fan_out_at_work, long_ago + HOUR + MINUTE, first=FIRST_RESCUE)
