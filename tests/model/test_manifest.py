"""recording/model/manifest.py: pure: what a recording's facts add up to."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from recording.model import manifest
from recording.model.attempts import FIRST_RESCUE, Attempts, Failure
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.layout import attempt_id
from recording.model.manifest import Manifest, Participant
from recording.model.metadata_file import MetadataFile, Speaker
from recording.model.stored import StoredBlob
from tests.support.manifests import DOCUMENTS, DONE, KEY, PROOF, START, content, event, metadata, recording


def told(events: list[FileStatusUpdated], blobs: list[StoredBlob], before: Manifest | None = None) -> Manifest:
    """Write the manifest of a recording that is archived now."""
    return manifest.write_manifest(recording(events, blobs), archived_at=DONE, before=before)


def test_the_first_announcement_sets_the_deadline() -> None:
    """An event that names a chunk again doesn't make it live longer."""
    found = recording([event("a-0", "a-1", hours=5), event("a-0", hours=1)], [])

    assert [("a-0", 49), ("a-1", 53)] == [
        (c.document_id, (c.deadline - START) / timedelta(hours=1)) for c in found.chunks
    ]


def test_the_first_announcement_says_where_a_chunk_lies() -> None:
    """A later one fills in what it doesn't say; each other address is tried, too, until the chunk is staged."""
    where = [
        AnnouncedChunk("a-0", 0, None),
        AnnouncedChunk("a-0", 0, "SessionEnded", "https://old/c", None, "https://old/d"),
        AnnouncedChunk("a-0", 0, "CallEnded", "https://new/c", "https://new/m", "https://new/d"),
    ]
    events = [event(hours=hours, chunks=(one,)) for hours, one in enumerate(where)]
    for some_order in (events, events[::-1]):
        [chunk] = recording(some_order, []).chunks
        assert ("https://old/c", "https://new/m", "https://old/d", "SessionEnded") == (
            chunk.announced.content_location,
            chunk.announced.metadata_location,
            chunk.announced.delete_location,
            chunk.announced.end_reason,
        )
        assert (START, DONE) == (chunk.announced_at, chunk.deadline)
        assert [("https://old/c", "https://new/m"), ("https://new/c", "https://new/m")] == [
            (job.content_location, job.metadata_location) for job in chunk.jobs
        ]


def test_each_address_has_its_attempt_before_a_chunk_is_lost() -> None:
    """One that is refused shows nothing of the others."""
    events = [event(hours=n, chunks=(AnnouncedChunk("a-0", 0, None, f"https://{n}/c"),)) for n in range(2)]
    failures = tuple(Failure(at=DONE, code="SourceRefused", message=str(n)) for n in range(2))
    notes = [Attempts(failures=failures[:n], next_at=DONE) for n in (1, 2)]

    assert [False, True] == [recording(events, [], {"a-0": note}).is_over for note in notes]


def test_the_summaries_of_a_recording_of_many_chunks_show_the_attempt_at_each_address() -> None:
    """Else one with two addresses would never be lost, and its recording never archived; the metadata has 8 KiB."""
    events = [event(hours=n, chunks=(AnnouncedChunk("a-0", 0, None, f"https://{n}/c"),)) for n in range(10)]
    ids = [attempt_id(DONE, f"{n:08x}") for n in range(12)]
    failures = [
        Failure(at=DONE, code="SourceUnavailable", message="\U0001f600" * 398 + "  x", attempt=one) for one in ids
    ]
    notes = [Attempts(count=n, failures=tuple(failures[:n]), next_at=DONE, queued_at=DONE) for n in (9, 10, 12)]
    summaries = [Attempts.from_metadata(note.to_metadata()) for note in notes]

    assert [False, True, True] == [recording(events, [], {"a-0": one}).is_over for one in summaries if one]
    assert [True] * 3 == [one.is_summary for one in summaries if one]
    # Of a single failure only the end of its message may be missing.
    alone = [
        Attempts(next_at=DONE).with_failure(Failure(at=DONE, code="SourceUnavailable", message="x" * length))
        for length in (399, 2000)
    ]
    assert [False, True] == [one.is_summary for one in (Attempts.from_metadata(a.to_metadata()) for a in alone) if one]
    assert [False, False] == [one.is_summary for one in alone]
    texts = [note.to_metadata()["summary"] for note in notes]
    assert max(map(len, texts)) < 7 * 1024
    assert not any("  " in text for text in texts)


def test_what_events_say_of_the_media_is_joined() -> None:
    """By the first that says it."""
    events = [
        event("a-0", content_type="audio", format_type="mp3"),
        event("a-0", hours=1, channel_type="unmixed", format_type="wav"),
    ]
    [entry] = told(events, []).chunks

    assert ("audio", "unmixed", "mp3") == (entry.content_type, entry.channel_type, entry.format)


def test_ids_of_several_events_are_joined() -> None:
    """An id that any of them has is in the manifest; the first counts, and another is a claim."""
    first = event("a-0", recording_id="r", server_call_id="s")
    written = told([first, event("a-1", hours=1, server_call_id="t")], [])

    assert ("3f2b0e4c", "r", "s", ["a-0", "a-1"]) == (
        written.call_id,
        written.recording_id,
        written.server_call_id,
        [entry.document_id for entry in written.chunks],
    )
    assert [("event-1", "serverCallId", "t")] == [(c.event, c.member, c.value) for c in written.claims]


def test_which_value_wins_does_not_depend_on_claimed_times() -> None:
    """The event that was received first is settled, whatever year it or another one claims."""
    first = event("a-0", id="first", recording_id="r", received_at=START)
    for year in (2001, 2999):
        false = event("a-0", id="false", recording_id="x", time=START.replace(year=year), received_at=DONE)
        for events in ([first, false], [false, first]):
            assert "r" == told(events, []).recording_id


@pytest.mark.parametrize(
    ("blobs", "is_staged"),
    [
        ([], False),
        ([content("a-0")], False),
        ([content("a-0", **PROOF)], False),
        ([metadata("a-0")], False),
        ([content("a-0"), metadata("a-0")], False),
        ([content("a-0", **PROOF), metadata("a-0")], True),
    ],
)
def test_a_chunk_is_staged_when_it_is_proved_and_has_its_metadata(blobs: list[StoredBlob], is_staged: bool) -> None:
    """Nothing less counts."""
    found = recording([event("a-0")], blobs)

    assert (is_staged, is_staged) == (found.chunks[0].is_staged, found.is_staged)


def test_nothing_announced_is_nothing_staged() -> None:
    """A recording without chunks is never whole."""
    assert not recording([], [content("a-0", **PROOF)]).is_staged


def test_a_recording_is_over_when_the_last_missing_chunk_is_lost() -> None:
    """Which needs an attempt that began after the chunk expired; what is staged needs none."""
    tried = [START + timedelta(hours=h) for h in (47, 48)]
    notes = [Attempts(failures=(Failure(at=one, code="SourceGone", message=""),), next_at=one) for one in tried]
    events, blobs = [event("a-0"), event("a-1", hours=5)], [content("a-1", **PROOF), metadata("a-1")]
    found = [recording(events, blobs), *(recording(events, blobs, {"a-0": note}) for note in notes)]

    assert [False, False, True] == [one.is_over for one in found]


def test_a_rescue_comes_when_the_note_says() -> None:
    """Without a note it comes a quarter of an hour after the event."""
    note = Attempts(count=1, next_at=START + timedelta(hours=3))
    found = recording([event("a-0", "a-1")], [], {"a-1": note})

    assert [START + FIRST_RESCUE, note.next_at] == [c.requeue_at() for c in found.chunks]


def test_every_chunk_has_an_outcome() -> None:
    """Archived, unproved or lost, each with what is known of it."""
    gone = Failure(at=START, code="SourceGone", message="no such document")
    note = Attempts(count=7, failures=(gone,), next_at=START)
    blobs = [content("a-0", **PROOF), metadata("a-0"), content("a-1"), metadata("a-1")]
    written = manifest.write_manifest(recording([event(*DOCUMENTS)], blobs, {"a-2": note}), archived_at=DONE)

    first, second, third = written.chunks
    assert ["archived", "unproved", "lost"] == [e.outcome for e in written.chunks]
    assert (3, 2, "e", START) == (first.blocks, first.blocks_compared, first.source_etag, first.proved_at)
    assert (None, "no proof by the deadline; last attempt: none was made") == (
        first.reason,
        second.reason,
    )
    assert (7, (gone,), "no content by the deadline; last attempt: SourceGone: no such document") == (
        third.attempts,
        third.failures,
        third.reason,
    )
    assert (False, "incomplete", DONE) == (written.complete, written.state, written.archived_at)


def test_in_flight_it_tells_what_staging_holds() -> None:
    """The derived state names blobs in staging, and nothing as archived."""
    waiting = manifest.write_manifest(recording([event("a-0", "a-1")], [content("a-0", **PROOF)]), archived_at=None)

    assert ["staged", "waiting"] == [e.outcome for e in waiting.chunks]
    assert ("ingesting", False, None) == (waiting.state, waiting.complete, waiting.archived_at)
    assert waiting.chunks[0].content is not None
    assert f"{KEY}/chunks/00000-a-0.media" == waiting.chunks[0].content.blob


def test_what_the_manifest_before_says_stays_and_later_events_fill_in() -> None:
    """A duration that an event gives later is a claim; a reason that nobody gave is taken."""
    first = told([event("a-0", recording_id="r", duration_ms=1)], [])
    second = told(
        [event("a-1", hours=1, duration_ms=2), event("a-2", hours=2, session_end_reason="CallEnded")], [], first
    )

    assert ("r", 1, "CallEnded") == (second.recording_id, second.recording_duration_ms, second.session_end_reason)
    assert ["event-0", "event-1", "event-2"] == second.events


def test_a_manifest_reads_as_it_was_written() -> None:
    """JSON and back."""
    written = told([event(*DOCUMENTS)], [content("a-0", **PROOF), metadata("a-0"), content("a-1")])

    assert written == Manifest.model_validate_json(written.model_dump_json(by_alias=True))


def test_archived_chunks_are_left_to_the_manifest_before() -> None:
    """Beyond it there is only what it lacks, and what staging has more of."""
    before = told([event(*DOCUMENTS)], [content("a-0", **PROOF), metadata("a-0"), content("a-1", **PROOF)])
    now = recording([event(*DOCUMENTS, hours=1)], [metadata("a-1")])

    assert ["a-1", "a-2"] == [c.document_id for c in manifest.without_archived(now, before).chunks]


@pytest.mark.parametrize(
    ("seconds", "said", "is_short"),
    [
        (10.0, {"duration_ms": "12000"}, False),
        (10.0, {"duration_ms": "12001"}, True),
        (600.0, {"duration_ms": "612000"}, False),
        (600.0, {"duration_ms": "613000"}, True),
        (600.0, {"duration_ms": "700000", "paused_ms": "100000"}, False),
        (600.0, {"duration_ms": "720000", "paused_ms": "100000"}, True),
        (600.0, {}, False),
        (None, {"duration_ms": "720000"}, False),
    ],
)
def test_media_that_is_shorter_than_its_metadata_file_says_has_a_remark(
    seconds: float | None, said: dict[str, str], is_short: bool
) -> None:
    """By more than two seconds and 2 %, unless pauses explain it: a cut between two fragments is seen nowhere else."""
    proof = PROOF if seconds is None else PROOF | {"seconds": str(seconds)}
    file = StoredBlob(metadata("a-0").name, 10, "e", {"sha256": "1" * 64} | said)
    [entry] = told([event("a-0")], [content("a-0", **proof), file]).chunks

    assert ("archived", "complete") == (entry.outcome, entry.verdict)
    assert is_short == bool(entry.remarks)
    assert not is_short or entry.remarks[0].startswith(f"it lasts {seconds:.1f} s, its metadata file says ")


PIECES = [piece for d in DOCUMENTS for piece in (content(d), content(d, **PROOF), metadata(d))]
SOME = some.lists(some.sampled_from(PIECES), unique_by=lambda blob: blob.name)
RANKS = {"lost": 0, "unproved": 1, "archived": 2}


@given(some.lists(SOME, min_size=1, max_size=4))
def test_a_later_manifest_never_tells_less(rounds: list[list[StoredBlob]]) -> None:
    """Whatever is in staging at each run, no chunk's outcome gets worse, and no file goes out of the manifest."""
    before: Manifest | None = None
    for hours, blobs in enumerate(rounds):
        written = told([event(*DOCUMENTS, hours=hours)], blobs, before)
        assert list(DOCUMENTS) == [e.document_id for e in written.chunks]
        for old, new in zip(before.chunks if before else [], written.chunks, strict=bool(before)):
            assert RANKS[old.outcome] <= RANKS[new.outcome]
            assert old.content is None or new.content is not None
            assert old.metadata in (None, new.metadata)
        now = recording([event(*DOCUMENTS, hours=hours)], blobs)
        assert [] == manifest.new_chunks(now, written)
        before = written


@given(SOME)
def test_complete_means_all_of_it(blobs: list[StoredBlob]) -> None:
    """A manifest is complete exactly if every chunk was staged, and nothing but then."""
    found = recording([event(*DOCUMENTS)], blobs)

    assert found.is_staged == manifest.write_manifest(found, archived_at=DONE).complete


def test_two_documents_at_one_index_both_name_who_took_part() -> None:
    """Read from the metadata files of the archive, since an older version did not write them into the manifest."""
    chunks = (AnnouncedChunk("a-0", 0, None), AnnouncedChunk("a-1", 0, None))
    written = manifest.write_manifest(recording([event(chunks=chunks)], []), archived_at=DONE)
    read = {f"a-{number}": MetadataFile(speakers=(Speaker(id=f"8:acs:{number}"),)) for number in (0, 1)}

    found = manifest.with_metadata_files(written, read)

    assert [("8:acs:0", (0,)), ("8:acs:1", (0,))] == [(one.id, one.chunks) for one in found.participants]


def test_without_people_nobody_is_named() -> None:
    """Whatever else the manifest says stays."""
    whole = told([event("a-0")], [content("a-0", **PROOF)])
    person = "8:acs:0f0a-ada"
    named = whole.model_copy(
        update={
            "participants": (Participant(id=person, kind="acs", chunks=(0,)),),
            "chunks": [chunk.model_copy(update={"channels": {person: 0}}) for chunk in whole.chunks],
        }
    )

    assert person in named.model_dump_json()
    assert whole == named.without_people()
