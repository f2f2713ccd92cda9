"""Pure: how the pictures and the sound of an MP4 are coded, as far as that must be equal in chunks that are joined.

What may differ isn't here: bit rates (`btrt`, `esds`), names of the encoder. Neither the length of a sample description
says anything (160x96 and 320x192 have equal ones) nor its bytes (bit rates differ in each chunk). The number of
channels is that of the AudioSpecificConfig: ffmpeg writes 2 beside it for mono.
"""

from dataclasses import dataclass, field
from struct import unpack_from

from recording.join.boxes import child
from recording.join.refusals import Reason, Unjoinable

# The sample rates that AudioSpecificConfig has an index for (ISO/IEC 14496-3, 1.6.3.4).
_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_AAC, _AAC_LC = 0x40, 2
# The descriptors of `esds` (ISO/IEC 14496-1, 7.2.2.1).
_ES, _DECODER_CONFIG, _SPECIFIC = 3, 4, 5
_PROFILES = {66: "Baseline", 77: "Main", 88: "Extended", 100: "High"}
# A packet without any spectrum (ISO/IEC 14496-3, 4.4.2.1), by the number of channels.
_SILENT = {1: bytes.fromhex("01182007"), 2: bytes.fromhex("211004608c1c")}
_VISUAL_ENTRY, _SOUND_ENTRY = 86, 36
# What QuickTime has more in versions 1 and 2 of its sound description.
_QUICKTIME_SOUND = {1: 16, 2: 36}


@dataclass(frozen=True)
class Pictures:
    """How pictures are coded: type of the sample entry, decoder configuration, size, shape of a pixel, colours.

    `entry` is the whole sample entry, of which only these are compared.
    """

    form: bytes
    config: bytes
    width: int
    height: int
    shape: bytes
    colours: bytes
    entry: bytes = field(compare=False, repr=False)

    @property
    def profile(self) -> str:
        """Return the name of the H.264 profile."""
        number = self.config[1] if len(self.config) > 1 else 0
        return _PROFILES.get(number, str(number))


@dataclass(frozen=True)
class Sound:
    """How sound is coded: AudioSpecificConfig, and what it says. A packet has `frame` samples of each channel."""

    config: bytes
    rate: int
    channels: int
    frame: int
    entry: bytes = field(compare=False, repr=False)

    @property
    def silent_packet(self) -> bytes | None:
        """Return a packet of silence; None if none is known for so many channels."""
        return _SILENT.get(self.channels)


def pictures(entry: bytes) -> Pictures:
    """Parse the sample entry of a video track."""
    form = entry[4:8]
    if form == b"encv":
        raise Unjoinable("encrypted", "its pictures are encrypted")
    view = memoryview(entry)
    config = child(view, b"avcC", begin=_VISUAL_ENTRY)
    if form not in (b"avc1", b"avc3") or config is None:
        raise Unjoinable("codec", f"its pictures are {_name(form)}, not H.264")
    width, height = unpack_from(">HH", entry, 32)
    shape, colours = (bytes(child(view, kind, begin=_VISUAL_ENTRY) or b"") for kind in (b"pasp", b"colr"))
    return Pictures(form, bytes(config), width, height, shape, colours, entry)


def sound(entry: bytes) -> Sound:
    """Parse the sample entry of an audio track."""
    form = entry[4:8]
    if form == b"enca":
        raise Unjoinable("encrypted", "its sound is encrypted")
    begin = _SOUND_ENTRY + _QUICKTIME_SOUND.get(int.from_bytes(entry[16:18]), 0)
    view = memoryview(entry)
    described = child(view, b"esds", begin=begin) or child(view, b"wave", b"esds", begin=begin)
    if form != b"mp4a" or described is None:
        raise Unjoinable("codec", f"its sound is {_name(form)}, not AAC")
    return _aac(bytes(described[4:]), entry)


def difference(
    first: "tuple[Pictures | None, Sound | None, int]", other: "tuple[Pictures | None, Sound | None, int]"
) -> tuple[Reason, str] | None:
    """Return the reason why one chunk can't follow another, and a message: "has ..., {first} has ...".

    A chunk is given by its pictures, its sound, and the units of time of its sound in a second.
    """
    (before, sound_before, units_before), (now, sound_now, units) = first, other
    if (before is None) != (now is None):
        return "tracks", "has no pictures, {first} has some" if now is None else "has pictures, {first} has none"
    if (sound_before is None) != (sound_now is None):
        return "tracks", "has no sound, {first} has some" if sound_now is None else "has sound, {first} has none"
    if before and now and (before.width, before.height) != (now.width, now.height):
        return "pictureSize", f"has pictures of {now.width}x{now.height}, {{first}} of {before.width}x{before.height}"
    if before and now and before != now:
        return "codec", f"has {_described(now)}, {{first}} has {_others(before, now)}"
    if sound_before and sound_now and (sound_before != sound_now or units != units_before):
        return "sound", f"has {_heard(sound_now, units)}, {{first}} has {_heard(sound_before, units_before)}"
    return None


def _described(pictures: Pictures) -> str:
    return f"H.264 pictures of profile {pictures.profile}"


def _others(before: Pictures, now: Pictures) -> str:
    if before.profile != now.profile:
        return f"pictures of profile {before.profile}"
    if before.config == now.config:
        return "the same profile with another pixel shape or other colours"
    return "the same profile with other encoder parameters"


def _heard(sound: Sound, units: int) -> str:
    more = "" if units == sound.rate else f" in units of 1/{units} s"
    return f"sound of {sound.channels} channel{'s' * (sound.channels != 1)} at {sound.rate} Hz{more}"


def _aac(descriptors: bytes, entry: bytes) -> Sound:
    stream = _descriptor(descriptors, _ES)
    flags = stream[2] if len(stream) > 2 else 0
    begin = 3 + 2 * (flags >> 7) + 2 * (flags >> 5 & 1)
    if flags >> 6 & 1:
        begin += 1 + stream[begin]
    decoder = _descriptor(stream[begin:], _DECODER_CONFIG)
    config = _descriptor(decoder[13:], _SPECIFIC)
    if not decoder or decoder[0] != _AAC or len(config) < 2:
        raise Unjoinable("codec", "its sound is not AAC")
    bits = int.from_bytes(config[:2])
    kind, rate, channels = bits >> 11, bits >> 7 & 15, bits >> 3 & 15
    # What follows may say that there is no SBR, which is filling; if there is, a packet has twice the samples.
    has_sbr = len(config) >= 5 and int.from_bytes(config[2:4]) >> 5 == 0x2B7 and config[4] >> 7
    if kind != _AAC_LC or has_sbr or rate >= len(_RATES) or not 0 < channels < len(_CHANNELS):
        raise Unjoinable("codec", "its sound is not AAC-LC")
    frame = 960 if bits >> 2 & 1 else 1024
    return Sound(config[:2], _RATES[rate], _CHANNELS[channels], frame, entry)


def _descriptor(data: bytes, tag: int) -> bytes:
    """Return the body of the descriptor that the bytes begin with; nothing if it is of another kind."""
    if not data or data[0] != tag:
        return b""
    # Seven bits of the length in each byte, up to four.
    length, at = 0, 1
    for _ in range(4):
        if at >= len(data):
            return b""
        length = length << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            break
    return data[at : at + length]


def _name(form: bytes) -> str:
    return repr(form.decode("ascii", "backslashreplace"))
