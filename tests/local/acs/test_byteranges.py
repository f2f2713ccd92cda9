"""Tests of the Range header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.acs.byteranges import ByteRange, Unsatisfiable, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-99", ByteRange(0, 100)),
        ("bytes=90-500", ByteRange(90, 10)),
        ("bytes=10-", ByteRange(10, 90)),
        ("Bytes=10-19", ByteRange(10, 10)),
        ("bytes=-10", ByteRange(90, 10)),
        ("bytes=-500", ByteRange(0, 100)),
        ("bytes=None", None),
        ("bytes=3", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=٣-٤", None),
    ],
)
def test_parse(header: str | None, expected: ByteRange | None) -> None:
    """One well-formed range is understood; anything else means the whole content."""
    assert expected == parse(header, 100)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_unsatisfiable(header: str) -> None:
    """A range behind the end cannot be satisfied."""
    with pytest.raises(Unsatisfiable):
        parse(header, 100)


@given(size=st.integers(1, 10**12), first=st.integers(0, 10**12), length=st.integers(1, 10**12))
def test_inside(size: int, first: int, length: int) -> None:
    """A range that starts inside the content never reaches beyond it, and Content-Range says so."""
    first = first % size
    found = parse(f"bytes={first}-{first + length - 1}", size)

    assert found == ByteRange(first, min(length, size - first))
    assert found.content_range(size) == f"bytes {first}-{first + found.length - 1}/{size}"
