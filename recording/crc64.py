"""CRC-64/NVME, which Blob Storage computes of the bytes that it received (docs/azure-storage.md#the-crc).

The only module with a library for it.
"""

import base64
from collections.abc import Iterable

from awscrt import checksums

BYTES = 8
_PERIOD = 2**64 - 1


def crc64(piece: bytes, before: int = 0) -> int:
    """Return the CRC of `piece`, or of what has the CRC `before` and then `piece`."""
    return int(checksums.crc64nvme(piece, before))


def join(parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC of parts that follow each other, each given by its CRC and its length in bytes."""
    whole = 0
    for crc, length in parts:
        whole = int(checksums.combine_crc64nvme(whole, crc, length))
    return whole


def of_end(whole: int, front: int, length: int) -> int:
    """Return the CRC of the last `length` bytes of what has the CRC `whole`, if what is before them has `front`."""
    return whole ^ int(checksums.combine_crc64nvme(front, 0, length))


def of_front(whole: int, end: int, length: int) -> int:
    """Return the CRC of what stands before the last `length` bytes of `whole`, if these have the CRC `end`."""
    # A byte more multiplies by x^8. The powers of x repeat after 2^64 - 1, so as many bytes less that divide by it.
    return int(checksums.combine_crc64nvme(whole ^ end, 0, _PERIOD - length))


def to_header(crc: int) -> str:
    """Return a CRC as it stands in `x-ms-content-crc64`: 8 bytes, little-endian, in base64."""
    return base64.b64encode(to_bytes(crc)).decode()


def to_bytes(crc: int) -> bytes:
    """Return a CRC as its 8 bytes, little-endian: what the client returns of an answer's header."""
    return crc.to_bytes(BYTES, "little")


def from_bytes(raw: bytes) -> int:
    """Return the CRC of 8 bytes, little-endian; raises ValueError for another length."""
    if len(raw) != BYTES:
        raise ValueError(f"a CRC64 has {BYTES} bytes, not {len(raw)}")
    return int.from_bytes(raw, "little")


def to_hex(crc: int) -> str:
    """Return a CRC as 16 hex digits, as facts and manifests have it."""
    return f"{crc:016x}"
