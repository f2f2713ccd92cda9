"""recording/model/layout.py: the name of every blob."""

from datetime import UTC, datetime, timedelta, timezone
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model import layout
from recording.model.layout import StagedName

KEY = "20210727T152023608975Z-43563209-4ec6-4119-be5b-88398cda2caf"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
# A digit to `\d` and to int(), but not in ASCII.
ARABIC_TWO = "\N{ARABIC-INDIC DIGIT TWO}"
DOCUMENTS = st.from_regex(layout.DOCUMENT_ID, fullmatch=True).filter(layout.is_document_id)
CALLS = st.from_regex(layout.CALL_ID, fullmatch=True)
ZONES = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)
KEYS = st.builds(layout.recording_key, TIMES, CALLS)
EVENTS = st.builds(layout.event_id, st.none() | st.from_regex(r"[0-9A-Za-z_-]+", fullmatch=True), st.text())
STAGED = st.one_of(
    st.builds(StagedName, KEYS, st.just("event"), EVENTS),
    st.builds(
        StagedName, KEYS, st.sampled_from(["content", "metadata"]), DOCUMENTS, st.integers(0, layout.LARGEST_INDEX)
    ),
    st.builds(
        StagedName,
        KEYS,
        st.just("content"),
        DOCUMENTS,
        st.integers(0, layout.LARGEST_INDEX),
        part=st.builds(layout.version_tag, st.text()),
    ),
    st.builds(StagedName, KEYS, st.just("verdict"), DOCUMENTS, part=st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
    st.builds(
        StagedName, KEYS, st.just("recheck"), DOCUMENTS, part=st.sampled_from(["1", "5", "12", "last", "settled"])
    ),
    st.builds(StagedName, KEYS, st.sampled_from(["attempts", "at_risk"]), DOCUMENTS),
    st.builds(
        StagedName, KEYS, st.just("began"), DOCUMENTS, attempt=st.builds(layout.attempt_id, TIMES, st.just("0a1b2c3d"))
    ),
    st.builds(
        StagedName,
        KEYS,
        st.sampled_from(["fan_out", "hand_over"]),
        st.builds(layout.attempt_id, TIMES, st.just("0a1b2c3d")),
    ),
    st.builds(
        StagedName, KEYS, st.just("proof"), DOCUMENTS, part=st.builds(layout.copy_tag, st.text(), st.just('"0x1"'))
    ),
    st.builds(StagedName, KEYS, st.just("published"), st.integers(1).map(str)),
)


def name_of(staged: StagedName) -> str:
    """Name a blob in staging, as the app does."""
    match staged.kind:
        case "event":
            return layout.event_blob(staged.key, staged.id)
        case "content":
            return layout.chunk_blob(staged.key, staged.index or 0, staged.id, staged.part)
        case "metadata":
            return layout.metadata_blob(staged.key, staged.index or 0, staged.id)
        case "verdict":
            # An older version wrote it.
            return f"{staged.key}/verdicts/{staged.id}/{staged.part}.json"
        case "recheck":
            return layout.recheck_blob(staged.key, staged.id, staged.part or "")
        case "attempts":
            return layout.attempts_blob(staged.key, staged.id)
        case "began":
            return layout.began_blob(staged.key, staged.id, staged.attempt or "")
        case "fan_out":
            return layout.fan_out_blob(staged.key, staged.id)
        case "at_risk":
            return layout.notice_blob(staged.key, staged.id)
        case "published":
            return layout.published_blob(staged.key, int(staged.id))
        case "proof":
            return layout.proof_blob(staged.key, staged.id, staged.part or "")
        case "hand_over":
            return layout.hand_over_blob(staged.key, staged.id)
        case _:
            assert_never(staged.kind)


def test_every_name() -> None:
    """Blobs are named as the design says; operators' lifecycle rules rely on it."""
    folder = f"2021/07/27/{KEY}"

    assert [
        f"{KEY}/events/e1.json",
        f"{KEY}/chunks/00007-{DOCUMENT}.media",
        f"{KEY}/chunks/00007-{DOCUMENT}.json",
        f"{KEY}/chunks/00007-{DOCUMENT}.{'a' * 16}.media",
        f"{KEY}/rechecks/{DOCUMENT}/settled.json",
        f"{KEY}/attempts/{DOCUMENT}.json",
        f"{KEY}/began/{DOCUMENT}/20210727T152023608975Z-ab12.json",
        f"{KEY}/fan-outs/20210727T152023608975Z-ab12.json",
        f"{KEY}/notices/at-risk-{DOCUMENT}.json",
        f"{KEY}/notices/told-2.json",
        f"{KEY}/proofs/{DOCUMENT}/{'c' * 16}.json",
        f"{KEY}/hand-overs/20210727T152023608975Z-ab12.json",
        f"{folder}/chunks/00007-{DOCUMENT}.wav",
        f"{folder}/chunks/00007-{DOCUMENT}.media",
        f"{folder}/chunks/00007-{DOCUMENT}.json",
        f"{folder}/recording.json",
        f"{folder}/recording-2.json",
        "2021/07/27/e1.json",
        "audit/2021/07/27/230000000000-stop-x.json",
    ] == [
        layout.event_blob(KEY, "e1"),
        layout.chunk_blob(KEY, 7, DOCUMENT),
        layout.metadata_blob(KEY, 7, DOCUMENT),
        layout.chunk_blob(KEY, 7, DOCUMENT, "a" * 16),
        layout.recheck_blob(KEY, DOCUMENT, "settled"),
        layout.attempts_blob(KEY, DOCUMENT),
        layout.began_blob(KEY, DOCUMENT, layout.attempt_id(layout.recording_start(KEY), "ab12")),
        layout.fan_out_blob(KEY, layout.attempt_id(layout.recording_start(KEY), "ab12")),
        layout.notice_blob(KEY, DOCUMENT),
        layout.published_blob(KEY, 2),
        layout.proof_blob(KEY, DOCUMENT, "c" * 16),
        layout.hand_over_blob(KEY, layout.attempt_id(layout.recording_start(KEY), "ab12")),
        layout.archived(layout.chunk_blob(KEY, 7, DOCUMENT), "wav"),
        layout.archived(layout.chunk_blob(KEY, 7, DOCUMENT)),
        layout.archived(layout.metadata_blob(KEY, 7, DOCUMENT), "wav"),
        layout.manifest_blob(KEY),
        layout.manifest_blob(KEY, 2),
        layout.quarantine_blob(datetime(2021, 7, 28, 1, tzinfo=timezone(timedelta(hours=2))), "e1"),
        layout.trail_blob(datetime(2021, 7, 28, 1, tzinfo=timezone(timedelta(hours=2))), "stop", "x"),
    ]


@given(TIMES, CALLS)
def test_keys_round_trip(start: datetime, call: str) -> None:
    """A key gives back the moment it was made of, in UTC, whatever the year or the zone."""
    key = layout.recording_key(start, call)

    assert layout.is_recording_key(key)
    assert (start, f"{start.astimezone(UTC).date():%m/%d}") == (layout.recording_start(key), layout.day(key)[5:])


@given(STAGED)
def test_every_name_in_staging_can_be_read_back(staged: StagedName) -> None:
    """What it was made from."""
    assert staged == layout.parse(name_of(staged))


@given(STAGED.map(name_of), st.data())
def test_a_name_that_the_app_does_not_make_is_not_read(name: str, data: st.DataObject) -> None:
    """Whatever is changed in a name, what is read from it has that very name."""
    start, end = sorted((data.draw(st.integers(0, len(name))), data.draw(st.integers(0, len(name)))))
    changed = name[:start] + data.draw(st.text(st.sampled_from("0a-/.Z\n" + ARABIC_TWO), max_size=3)) + name[end:]

    staged = layout.parse(changed)

    assert staged is None or changed == name_of(staged)


@pytest.mark.parametrize(
    "name",
    [
        "",
        KEY,
        f"{KEY}/",
        f"{KEY}/events/",
        f"{KEY}/events/.json",
        f"{KEY}/events/a/b.json",
        f"{KEY}/chunks/7-{DOCUMENT}.media",
        f"{KEY}/chunks/00007-{DOCUMENT}.mp4",
        f"{KEY}/chunks/00007-forged.media",
        f"{KEY}/began/{DOCUMENT}/1.json",
        f"{KEY}/notices/told-02.json",
        f"{KEY}/unknown/{DOCUMENT}.json",
        f"x/events/{DOCUMENT}.json",
        layout.pending_blob(layout.recording_start(KEY), "r"),
        layout.archived(layout.chunk_blob(KEY, 7, DOCUMENT)),
        f"{layout.DOCTOR}/x",
    ],
)
def test_what_is_no_name_of_a_recording_in_staging(name: str) -> None:
    """Names of other places, and of nothing."""
    assert (None, None) == (layout.parse(name), layout.staged_kind(name))


@given(TIMES, TIMES)
def test_keys_sort_by_time(one: datetime, other: datetime) -> None:
    """Keys sort as the moments do, so that a listing is in order of time."""
    assert (one < other) == (layout.recording_key(one, "a") < layout.recording_key(other, "a"))


@given(st.text(max_size=80))
def test_no_text_is_mistaken(text: str) -> None:
    """Whatever the text, what passes for a key or an id is plain ASCII without slashes."""
    passed = [layout.is_recording_key(text), layout.is_document_id(text)]

    assert not any(passed) or (text.isascii() and "/" not in text and ".." not in text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        KEY + "\n",
        KEY + "/",
        "../" + KEY,
        KEY.replace("20210727", "20211327"),
        KEY.replace("20210727", "00000727"),
        KEY.replace("T15", "T25"),
        KEY.replace("2", ARABIC_TWO),
        KEY[:22],
        KEY[:23],
        KEY + "a" * 60,
        KEY.lower(),
    ],
)
def test_what_is_no_key(text: str) -> None:
    """Only a key of a real moment, in ASCII digits, is one."""
    assert not layout.is_recording_key(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "..", "a-", "-a", "a--b", "a/b-c", "a-b.mp4", "a-b\n", "ä-b", "0-" + "a" * 127, "-".join("a" * 13)],
)
def test_what_is_no_document_id(text: str) -> None:
    """Only something that is safe in a path and has the form of the samples is a document id."""
    assert not layout.is_document_id(text)


@pytest.mark.parametrize("given", ["7283825e-f8f1-4c61-a9ea-752c56890500", "a", "a_b-9", "x" * 128])
def test_safe_event_ids_are_kept(given: str) -> None:
    """An event's own id is its name where that is safe."""
    assert given == layout.event_id(given, "text")


@pytest.mark.parametrize("given", [None, "", ".", "..", "a/b", "a\\b", "-a", "a.json", "x" * 129, "a\n", "é"])
def test_other_event_ids_become_a_digest(given: str | None) -> None:
    """An id that isn't safe is replaced by a digest of the text, which is safe itself."""
    name = layout.event_id(given, "text")

    assert name == layout.event_id(None, "text") == layout.event_id(name, "other") != layout.event_id(None, "other")


def test_starts_have_names_of_one_length() -> None:
    """The claim of a start and its outcome are named by a digest: a subject may be longer than a blob's name."""
    names = [layout.claim_blob(text, 1) for text in ("a", "b" * 4096, "ü/..")]

    assert [len("starts/") + 64 + len("/00001-claim.json")] * 3 == [len(name) for name in names]
    assert [name.replace("claim", "outcome") for name in names] == [
        layout.outcome_blob(text, 1) for text in ("a", "b" * 4096, "ü/..")
    ]
