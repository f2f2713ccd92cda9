"""recording/model/proof.py: the ranges whose CRC64s a commit says, and what reading an archive copy has proved."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import crc64
from recording.model.layout import chunk_blob
from recording.model.proof import ChunkFacts, CopyProof
from recording.model.stored import StoredBlob
from recording.model.verdict import ChunkVerdict
from tests.support.manifests import KEY
from tests.support.proved import facts_of, ranges_of

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
NAME = chunk_blob(KEY, 0, "a-0")


@given(st.binary(min_size=1, max_size=500), st.integers(1, 200), st.integers(1, 200))
def test_the_ranges_of_a_commit_are_those_that_were_proved(body: bytes, first: int, block: int) -> None:
    """The first has a length of its own, the last is the rest; together they are the file."""
    facts = ChunkFacts.from_metadata(facts_of(body, first=first, block=block).to_metadata())

    found = facts.ranges(len(body))

    parts = ranges_of(body, first=first, block=block)
    assert [(len(part), crc64.crc64(part)) for part in parts] == [(one.length, one.crc64) for one in found]
    assert [body[one.offset : one.offset + one.length] for one in found] == parts


@pytest.mark.parametrize(
    "wrong",
    [
        {"crc64": "0" * 16},
        {"first_bytes": 50},
        {"first_bytes": 10**9},
        {"block_bytes": 7},
        {"block_crcs": "AAAA"},
        {"block_crcs": "no base64"},
        {"block_crcs": None},
        {"source_bytes": 1},
    ],
)
def test_facts_that_do_not_fit_prove_no_range(wrong: dict[str, object]) -> None:
    """A copy is then made without comparing its blocks, and its reader compares all of it."""
    body = bytes(range(100))
    facts = facts_of(body, first=30, block=40).model_copy(update=wrong)

    assert () == facts.ranges(len(body) + ("source_bytes" in wrong))


PROOFS = st.builds(
    CopyProof,
    content=st.just(NAME),
    blob=st.text(),
    etag=st.text(),
    bytes=st.integers(0),
    crc64=st.just("0" * 16),
    sha256=st.just("1" * 64),
    kind=st.none() | st.just("mp4"),
    seconds=st.none() | st.floats(0, 1e6),
    verdict=st.builds(
        ChunkVerdict,
        outcome=st.just("truncated"),
        remarks=st.lists(st.text(), max_size=3).map(tuple),
        found_at=st.none(),
    ),
    proved_at=st.just(NOW),
)


@given(PROOFS)
def test_a_proof_survives_a_listing(proof: CopyProof) -> None:
    """As a header carries it: printable ASCII, and blanks are not joined."""
    [(name, text)] = proof.to_metadata().items()

    assert proof == CopyProof.from_metadata({name: text})
    assert text.isascii()
    assert text.isprintable()
    assert "  " not in text


@pytest.mark.parametrize("text", ["", "{", "{}", '{"content": 1}'])
def test_a_proof_that_cannot_be_read_is_none(text: str) -> None:
    """Then the copy is read again."""
    assert CopyProof.from_metadata({"proof": text}) is None


def test_a_proof_is_of_the_bytes_that_were_proved_under_its_name() -> None:
    """By the digest that the chunk has: the CRC64, or of the version before the SHA-256."""
    proof = CopyProof(
        content=NAME,
        blob="b",
        etag="e",
        bytes=5,
        crc64="c" * 16,
        sha256="5" * 64,
        verdict=ChunkVerdict(),
        proved_at=NOW,
    )

    def of(size: int = 5, name: str = NAME, **metadata: str) -> bool:
        return proof.is_of(StoredBlob(name, size, "e", metadata))

    assert of(crc64="c" * 16)
    assert of(sha256="5" * 64)
    assert not any(
        (of(), of(crc64="d" * 16), of(sha256="6" * 64), of(6, crc64="c" * 16), of(name=f"{NAME}x", crc64="c" * 16))
    )
