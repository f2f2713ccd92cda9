"""recording/model/erasure.py: every kind of thing that is stored about a recording has an answer."""

import inspect
from typing import get_args

import pytest

from recording.model import erasure, job, layout
from recording.model.erasure import ELSEWHERE, OF_BLOBS, ErasureScope, Expires, Kept, Removed
from recording.model.layout import StagedKind

# They read names, and make none.
READS = {"quarantined_blob"}
# Kinds of blobs that an older version wrote, and that are still read.
OLDER = {"verdict"}
# Kinds of blobs in staging that are called otherwise than the function that names them.
CALLED = {"content": "chunk", "at_risk": "notice"}


def test_every_kind_of_blob_has_an_answer() -> None:
    """A function that names a blob and isn't there: say in `OF_BLOBS` what an erasure does with it."""
    named = {name for name, _ in inspect.getmembers(layout, inspect.isfunction) if name.endswith("_blob")}

    assert {name.removesuffix("_blob") for name in named - READS} | OLDER == set(OF_BLOBS)


def test_every_blob_of_a_recording_in_staging_is_removed() -> None:
    """By its prefix, whatever it is."""
    assert {Removed} == {type(OF_BLOBS[CALLED.get(kind, kind)]) for kind in get_args(StagedKind)}


def test_what_stays_or_expires_says_why() -> None:
    """A certificate repeats it; what holds what was said or who took part is removed."""
    kept, expires = erasure.answers()

    assert set(kept) | set(expires) == {
        name.replace("_", " ")
        for name, answer in (*OF_BLOBS.items(), *ELSEWHERE.items())
        if isinstance(answer, Kept | Expires)
    }
    assert all(len(reason) > 10 for reason in (*kept.values(), *expires.values()))
    assert {Removed} == {
        type(OF_BLOBS[kind]) for kind in ("chunk", "metadata", "event", "manifest", "started", "ending")
    }


def test_what_a_later_look_finds_is_removed_too() -> None:
    """A manifest that was finished after the first look has rows of its own."""
    first = ErasureScope(recording_key="k", call_id="c", rows=(("month:", "1"),), exports=("exports/1.json",))
    late = ErasureScope(recording_key="k", call_id="c", rows=(("month:", "1"), ("reference:9", "1")))

    both = first.with_places(late)

    assert ((("month:", "1"), ("reference:9", "1")), ("exports/1.json",)) == (both.rows, both.exports)


@pytest.mark.parametrize("one", ["joined files", "exports of people", "rows of the search index", "queue messages"])
def test_what_is_no_blob_of_the_layout(one: str) -> None:
    """Files that are made from a recording, rows, messages."""
    assert one in ELSEWHERE


def test_every_queue_is_thought_of() -> None:
    """A message stays until it is received; each of these jobs looks for a tombstone first."""
    queues = {name for name in vars(job) if name.endswith("QUEUE")}

    assert queues == {
        "QUEUE",
        "BULK_QUEUE",
        "ARCHIVE_QUEUE",
        "ERASURE_QUEUE",
        "JOIN_QUEUE",
        "HOLDS_QUEUE",
        "EXPORT_QUEUE",
    }
