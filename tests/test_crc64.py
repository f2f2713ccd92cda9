"""Tests of recording/crc64.py, with values of the service's own clients (docs/azure-storage.md#the-crc)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import crc64

KNOWN = [
    (b"", 0x0000000000000000, "AAAAAAAAAAA="),
    (b"123456789", 0xAE8B14860A799888, "iJh5CoYUi64="),
    (b"Hello World!", 0x02E51CC85EFCE1A5, "peH8Xsgc5QI="),
    (b"The quick brown fox jumps over the lazy dog", 0xD76C54054954C143, "Q8FUSQVUbNc="),
    (bytes(4 * 1024 * 1024), 0x043257E6895EFCED, "7fxeieZXMgQ="),
]


@pytest.mark.parametrize(("data", "crc", "header"), KNOWN)
def test_it_is_the_crc_of_the_service(data: bytes, crc: int, header: str) -> None:
    """The values are those of Microsoft's clients."""
    assert crc64.crc64(data) == crc
    assert crc64.to_header(crc) == header
    assert crc64.from_bytes(crc64.to_bytes(crc)) == crc


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_parts_join_to_the_whole(parts: list[bytes]) -> None:
    """The CRC of the whole follows from those of its parts and their lengths, without the bytes."""
    whole = crc64.crc64(b"".join(parts))
    assert crc64.join((crc64.crc64(part), len(part)) for part in parts) == whole
    running = 0
    for part in parts:
        running = crc64.crc64(part, running)
    assert running == whole


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_part_follows_from_the_whole_and_the_rest(front: bytes, end: bytes) -> None:
    """Of a block that was copied in part, the expected CRC is known without the bytes of the part."""
    whole = crc64.crc64(front + end)
    assert crc64.of_end(whole, crc64.crc64(front), len(end)) == crc64.crc64(end)
    assert crc64.of_front(whole, crc64.crc64(end), len(end)) == crc64.crc64(front)


def test_parts_in_another_order_have_another_crc() -> None:
    """A join of the right parts in the wrong order is noticed."""
    one, two = (crc64.crc64(b"one"), 3), (crc64.crc64(b"two"), 3)
    assert crc64.join([one, two]) != crc64.join([two, one])


def test_a_crc_of_another_length_is_refused() -> None:
    """An answer's header may be anything."""
    with pytest.raises(ValueError, match="8 bytes"):
        crc64.from_bytes(b"1234567")
