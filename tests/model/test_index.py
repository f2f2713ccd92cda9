"""recording/model/index.py: the keys of rows follow from the facts of a recording, and show nobody's id."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recording.model import index
from recording.model.index import Digests
from tests.support.manifests import empty_manifest, finished, person

DIGESTS = Digests(b"k" * 32)
ADA, PHONE = "8:acs:29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2_0000000a-1111", "4:+14255550123"
URL_ID = "aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI"


def partitions(**more: Any) -> list[str]:
    """List the partitions of a recording's rows."""
    return [row.partition for row in index.rows(finished(1, **more), DIGESTS)]


def test_a_recording_has_a_row_for_each_way_to_find_it() -> None:
    """By month, call, conversation, recording id, participant and reference, all with one row key."""
    people = (person(ADA), person(PHONE))
    manifest = finished(1, conversation_id=URL_ID, recording_id="eyJQ", reference="case 118", participants=people)
    rows = index.rows(manifest, DIGESTS)

    kinds = [row.partition.partition(":")[0] for row in rows]
    assert ["month", "call", "conversation", "recording", "participant", "participant", "reference"] == kinds
    assert {index.row_key(manifest.recording_key)} == {row.key for row in rows}


def test_rows_follow_from_the_facts_alone() -> None:
    """Made again, they are the same: so they can be repeated, and deleted without a search."""
    assert index.rows(finished(1), DIGESTS) == index.rows(finished(1, archived_at=datetime.now(UTC)), DIGESTS)


def test_no_key_and_no_filter_shows_a_person_a_number_or_a_reference() -> None:
    """Keys and filters stand in the platform's logs."""
    manifest = finished(1, reference="Grace Hopper", participants=(person(ADA), person(PHONE)), conversation_id=URL_ID)
    shown = [text for row in index.rows(manifest, DIGESTS) for text in (row.partition, row.key, row.conversation)]
    found = index.search(DIGESTS, participant=PHONE, reference="Grace Hopper", conversation_id=URL_ID)

    for secret in (ADA, PHONE, PHONE[3:], "Grace", URL_ID):
        assert secret not in " ".join(shown)
        assert secret not in found.bind()


def test_digests_differ_with_the_key_and_the_kind() -> None:
    """Without the archive's key nobody can try out phone numbers; one text of two kinds has two digests."""
    other = Digests(b"l" * 32)

    assert 3 == len({DIGESTS.participant(PHONE), other.participant(PHONE), DIGESTS.reference(PHONE)})


@pytest.mark.parametrize(
    "written",
    [
        *(PHONE, "+14255550123", "14255550123", " 1 (425) 555-0123", "4:14255550123", "tel:+1-425-555-0123"),
        *("001 425 555 0123", "+1 (0)425 555 0123", "\u202a+1\u00a0425 555\u20110123\u202c"),
    ],
)
def test_a_phone_number_is_found_as_people_write_it(written: str) -> None:
    """A plus in a query that isn't escaped arrives as a space."""
    assert DIGESTS.participant(PHONE) == DIGESTS.participant(written)


@pytest.mark.parametrize("written", [URL_ID, URL_ID + "=", "aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MyZlPTQ="])
def test_a_conversation_is_found_by_each_form_of_its_id(written: str) -> None:
    """Conversation id or server call id, padded or not, and whatever the query of its URL."""
    rows = index.rows(finished(1, conversation_id=URL_ID), DIGESTS)

    found = index.search(DIGESTS, conversation_id=written)

    assert found.first_partition in [row.partition for row in rows]


@pytest.mark.parametrize("written", ["eyJ_-x", "eyJ/+x", "eyJ_-x=="])
def test_a_recording_is_found_by_each_form_of_its_id(written: str) -> None:
    """The Call Automation API pads it, the 2021 preview API doesn't."""
    rows = index.rows(finished(1, recording_id="eyJ_-x"), DIGESTS)

    assert index.search(DIGESTS, recording_id=written).first_partition in [row.partition for row in rows]


def test_an_id_that_is_no_conversation_costs_no_row() -> None:
    """A server call id of any form is kept; only a search by it is refused."""
    assert not any(one.startswith("conversation:") for one in partitions(server_call_id="no base64 of a URL"))
    with pytest.raises(ValueError, match="conversation id"):
        index.search(DIGESTS, conversation_id="no base64 of a URL")


def test_later_recordings_sort_first() -> None:
    """Also over the ends of months and years."""
    times = [
        datetime(2025, 12, 31, 23, 59, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 2, tzinfo=UTC),
    ]
    places = [(index.month(time), index.inverted(time)) for time in times]

    assert places[::-1] == sorted(places)


def test_what_something_is_missing_of_has_a_row_for_that() -> None:
    """Also a recording of which nothing came."""
    lost = finished(1).chunks[0].model_copy(update={"outcome": "lost", "content": None, "metadata": None})

    assert index.MISSING in partitions(chunks=[lost], complete=False, state="incomplete")
    assert index.MISSING in partitions(chunks=[], complete=False, state="absent")
    assert index.MISSING not in partitions()


def test_the_bounds_of_a_search_are_those_of_the_recordings() -> None:
    """One that started at `from` is found, one that started at `to` is not."""
    start = finished(1).recording_start_time
    key = index.row_key(finished(1).recording_key)

    def finds(**bounds: datetime) -> bool:
        wanted = index.search(DIGESTS, **bounds)  # type: ignore[arg-type]
        return wanted.first_key <= key <= wanted.last_key

    assert finds(since=start)
    assert not finds(since=start + timedelta(microseconds=1))
    assert not finds(until=start)
    assert finds(until=start + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("given", "partition"),
    [
        ({"participant": ADA, "reference": "r", "call_id": "c", "conversation_id": URL_ID}, "participant"),
        ({"reference": "r", "call_id": "c", "missing": True}, "reference"),
        ({"call_id": "c", "state": "archived"}, "call"),
        ({"conversation_id": URL_ID, "hold": True}, "conversation"),
        ({"hold": True, "missing": True}, "hold"),
        ({"missing": True}, "missing"),
        ({"missing": False}, "month"),
    ],
)
def test_a_search_goes_where_the_fewest_rows_are(given: dict[str, Any], partition: str) -> None:
    """What the partition doesn't decide is compared with columns."""
    found = index.search(DIGESTS, **given)

    assert partition == found.first_partition.partition(":")[0]
    assert len(given) - (partition != "month") == len(found.columns)


def test_a_cursor_belongs_to_its_search_and_to_this_app() -> None:
    """Of other filters, changed, made up, or made with another archive's key, it is refused."""
    mine, other = index.search(DIGESTS, participant=ADA), index.search(DIGESTS, participant=PHONE)
    cursor = index.write_cursor(DIGESTS, mine, {"PartitionKey": "p", "RowKey": "r"})

    assert {"PartitionKey": "p", "RowKey": "r"} == index.read_cursor(DIGESTS, mine, cursor)
    for digests, search, text in [
        (DIGESTS, other, cursor),
        (Digests(b"l" * 32), mine, cursor),
        *(
            (DIGESTS, mine, wrong)
            for wrong in ("", "x", "ä", "W10", "bnVsbA", cursor[:-2], cursor.swapcase(), cursor * 2)
        ),
    ]:
        with pytest.raises(ValueError, match="cursor of an earlier answer"):
            index.read_cursor(digests, search, text)


def test_a_key_that_cannot_be_read_is_none() -> None:
    """A short one would be guessed."""
    assert b"k" * 32 == index.parse_key(index.key_text(b"k" * 32))
    for wrong in (b"", b"{", b"[]", b'{"hmacKey": 1}', b'{"hmacKey": "!"}', index.key_text(b"short")):
        with pytest.raises(ValueError, match="cannot be read"):
            index.parse_key(wrong)


def test_an_empty_recording_is_summarized() -> None:
    """Nothing is proved of nothing."""
    summary = index.summarize(empty_manifest("20260301T100000000000Z-3f2b0e4c"))

    assert (0, 0, "none", 0) == (summary.chunks, summary.bytes, summary.proof, summary.missing)
