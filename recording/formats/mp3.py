"""Pure: whether a file begins as an MP3 does.

An ID3v2 tag may come first (id3.org, ID3v2.4.0 structure, 3.1); then there is nothing but frames,
each with a header of 4 bytes that tells its length (ISO/IEC 11172-3 and 13818-3, layer III).
"""

from collections.abc import Generator

from recording.errors import SourceDamaged

TAG = b"ID3"
_TAG_HEADER = 10
_HAS_FOOTER = 0x10
# By the header's two bits of version: MPEG 2.5, none, 2, 1. Sample rates in Hz, bit rates in kbit/s.
_SAMPLE_RATES = ((11_025, 12_000, 8_000), None, (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HIGH = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_1 = 3


def walk(size: int) -> Generator[int, bytes, int]:
    """Walk over the tag and the first two frames of a file of `size` bytes; the result is how many were seen.

    Yields an offset and is sent up to 16 bytes from there. Raises SourceDamaged if there is no
    frame, or no second one of its kind where the first says that it must be. An MP3 doesn't say
    how long it is: to find a cut end takes all frames, and the source has declared its length.
    """
    header = yield 0
    offset = _tag(header, size)
    if offset:
        header = yield offset
    length = frame(header)
    if not length:
        raise SourceDamaged(f"no MP3 frame at byte {offset}")
    following = offset + length
    if following > size:
        raise SourceDamaged(f"the frame at byte {offset} has {length} bytes, the file ends after {size - offset}")
    if following == size:
        return 1
    second = yield following
    # Version, layer and sample rate stay as they are; bit rate and padding may change.
    if not frame(second) or (header[1] & 0xFE, header[2] & 0x0C) != (second[1] & 0xFE, second[2] & 0x0C):
        raise SourceDamaged(f"no MP3 frame at byte {following}, where one must follow")
    return 2


def frame(header: bytes) -> int:
    """Say how long the frame is that begins so; 0 if none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rates, rate, bits = _SAMPLE_RATES[version], header[2] >> 2 & 3, header[2] >> 4
    # Layer III is 1. A bit rate of 0 is "free": such a frame doesn't tell its length.
    if rates is None or layer != 1 or rate == 3 or bits in (0, 15):
        return 0
    kilobits = (_HIGH if version == _MPEG_1 else _LOW)[bits]
    return (144_000 if version == _MPEG_1 else 72_000) * kilobits // rates[rate] + (header[2] >> 1 & 1)


def _tag(header: bytes, size: int) -> int:
    """Say how many bytes the tag takes that the file begins with; 0 if it begins with none."""
    if not header.startswith(TAG):
        return 0
    digits = header[6:_TAG_HEADER]
    if len(digits) < 4 or any(digit > 0x7F for digit in digits):
        raise SourceDamaged("the ID3 tag does not say how long it is")
    # Seven bits in each byte.
    length = sum(digit << 7 * (3 - place) for place, digit in enumerate(digits))
    length += 2 * _TAG_HEADER if header[5] & _HAS_FOOTER else _TAG_HEADER
    if length >= size:
        raise SourceDamaged(f"the ID3 tag has {length} bytes, the file has {size}")
    return length
