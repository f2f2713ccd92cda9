"""Files that the tests make: each kind that is recorded, in every variation that players are known to accept or refuse.

The tables hold functions: a file is made when a test asks for it, and the encoder runs once per process.
"""

import io
import json
import random
import struct
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import batched, pairwise
from typing import Any

import av
import numpy as np

Make = Callable[[], bytes]

RATE = 16_000
SECONDS = 3
FRAMES_PER_SECOND = 8
MP4_SECONDS = 5
TO_THE_END = 0xFFFF_FFFF

# --- Pieces


@cache
def noise(length: int, seed: int = 7) -> bytes:
    """Return bytes that are always the same and mean nothing."""
    return random.Random(seed).randbytes(length)  # noqa: S311 - not for secrets


def tone(seconds: float, rate: int = RATE) -> Any:
    """Return 16-bit samples of a tone of 220 Hz."""
    return (8_000 * np.sin(2 * np.pi * 220 / rate * np.arange(int(seconds * rate)))).astype("<i2")


def id3(length: int) -> bytes:
    """Return an ID3v2.4 tag with `length` bytes behind its header of ten."""
    digits = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + digits + bytes(length)


def ape(*, length: int = 40, header: bool = True) -> bytes:
    """Return an APEv2 tag: its size counts items and footer, not the header."""
    head, foot = (
        b"APETAGEX" + struct.pack("<IIII8x", 2000, length + 32, 0, flags) for flags in (0xA000_0000, 0x8000_0000)
    )
    return (head if header else b"") + bytes(length) + foot


ID3V1 = b"TAG" + bytes(125)

# --- WAV


def riff(*chunks: bytes, size: int | None = None, magic: bytes = b"RIFF", form: bytes = b"WAVE") -> bytes:
    """Return a RIFF file; `size` is what its header declares."""
    body = form + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


def chunk(kind: bytes, body: bytes, *, size: int | None = None, pad: bool = True) -> bytes:
    """Return a RIFF chunk; `size` is what its header declares."""
    return kind + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (pad and len(body) % 2)


def fmt(*, channels: int = 1, extensible: bool = False) -> bytes:
    """Return the format chunk of 16-bit samples at 16 kHz."""
    block = 2 * channels
    tag = 0xFFFE if extensible else 1
    body = struct.pack("<HHIIHH", tag, channels, RATE, RATE * block, block, 16)
    if extensible:
        subformat = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
        body += struct.pack("<HHI", 22, 16, 2**channels - 1) + subformat
    return chunk(b"fmt ", body)


def ds64(riff_size: int, data_size: int, samples: int) -> bytes:
    """Return the chunk that holds the 64-bit lengths of RF64 and BW64."""
    return chunk(b"ds64", struct.pack("<QQQI", riff_size, data_size, samples, 0))


@cache
def pcm() -> bytes:
    """Return the samples that every WAV of the tables holds."""
    samples: bytes = tone(SECONDS).tobytes()
    return samples


def wav(*, riff_size: int | None = None, data_size: int | None = None) -> bytes:
    """Return the plain file, with other sizes in its headers."""
    return riff(fmt(), chunk(b"data", pcm(), size=data_size), size=riff_size)


def rf64(magic: bytes, *, filled_in: bool = True) -> bytes:
    """Return a file whose lengths stand in its ds64 chunk, or were never filled in."""
    data = chunk(b"data", pcm(), size=TO_THE_END)
    lengths = (4 + 36 + 24 + len(data), len(pcm()), len(pcm()) // 2) if filled_in else (0, 0, 0)
    return riff(ds64(*lengths), fmt(), data, size=TO_THE_END, magic=magic)


# --- MP3


@cache
def mp3(rate: int = RATE, seconds: float = SECONDS, *, variable: bool = False) -> bytes:
    """Encode a file: ID3 tag, Xing frame, frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        options = {"abr": "1"} if variable else {}
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono", options=options)
        stream.bit_rate = 64_000 if variable else 48_000
        samples = tone(seconds, rate)
        if variable:
            samples[: len(samples) // 2] = 0
        _encode_sound(container, stream, samples, "s16p")
    return file.getvalue()


def _encode_sound(container: Any, stream: Any, samples: Any, form: str) -> None:
    for first in range(0, len(samples), 1024):
        part = samples[first : first + 1024].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format=form, layout="mono")
        frame.sample_rate, frame.pts = stream.rate, first
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


# At 16 kHz a second has 48,000 bits in 27.8 frames of 576 samples: 216 bytes each.
MP3_FRAME = 216


@cache
def tag_of_mp3() -> bytes:
    """Return the ID3 tag of the file."""
    file = mp3()
    return file[: 10 + sum(file[6 + place] << 7 * (3 - place) for place in range(4))]


@cache
def frames() -> bytes:
    """Return the file without its tag and its Xing frame."""
    return mp3()[len(tag_of_mp3()) + MP3_FRAME :]


def free_format() -> bytes:
    """Return the frames with their bit rate cleared: "free" is any, and the header doesn't say how long a frame is."""
    return b"".join(
        bytes((frame[0], frame[1], frame[2] & 0x0F, *frame[3:]))
        for frame in (bytes(one) for one in batched(frames(), MP3_FRAME, strict=True))
    )


# --- MP4


@cache
def encoded(form: str, *, video: bool = True, options: str = "") -> bytes:
    """Encode 5 s: 160x96 H.264 at 8 frames a second, AAC at 16 kHz."""
    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"movflags": options} if options else {}) as container:
        picture_stream: Any = container.add_stream("libx264", rate=FRAMES_PER_SECOND) if video else None
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        sound.bit_rate = 24_000
        if video:
            picture_stream.width, picture_stream.height, picture_stream.pix_fmt = 160, 96, "yuv420p"
            picture_stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
            picture_stream.gop_size = FRAMES_PER_SECOND
            for number in range(MP4_SECONDS * FRAMES_PER_SECOND):
                picture = np.full((144, 160), 16 + number, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
                frame.pts = number
                container.mux(picture_stream.encode(frame))
                # Interleaved as a recorder writes: some sound behind each picture.
                _mux_sound(container, sound, number)
            container.mux(picture_stream.encode(None))
        else:
            for number in range(MP4_SECONDS * FRAMES_PER_SECOND):
                _mux_sound(container, sound, number)
        container.mux(sound.encode(None))
    return file.getvalue()


def _mux_sound(container: Any, sound: Any, number: int) -> None:
    count = RATE // FRAMES_PER_SECOND
    part = (tone(1)[:count]).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE, number * count
    container.mux(sound.encode(frame))


def boxes(file: bytes) -> Iterator[tuple[bytes, int, int]]:
    """List the top-level boxes of a file: type, first byte, byte behind the last."""
    offset = 0
    while offset < len(file):
        size = int.from_bytes(file[offset : offset + 4])
        yield file[offset + 4 : offset + 8], offset, offset + size
        offset += size


def box(kind: bytes, body: bytes = b"", *, size: int | None = None) -> bytes:
    """Return a box; `size` is what its header declares."""
    return (len(body) + 8 if size is None else size).to_bytes(4) + kind + body


def parts(file: bytes) -> dict[bytes, bytes]:
    """Return the boxes of a plain file by type."""
    return {kind: file[first:end] for kind, first, end in boxes(file)}


def shifted(moov: bytes, by: int) -> bytes:
    """Return a moov whose chunk offsets are moved."""
    moved, at = bytearray(moov), 0
    while (at := moved.find(b"stco", at)) >= 0:
        count = int.from_bytes(moved[at + 8 : at + 12])
        for place in range(at + 12, at + 12 + 4 * count, 4):
            moved[place : place + 4] = (int.from_bytes(moved[place : place + 4]) + by).to_bytes(4)
        at += 4
    return bytes(moved)


@cache
def moov_last() -> bytes:
    """Return the file as the encoder writes it: ftyp, free, mdat, moov."""
    return encoded("mp4")


@cache
def moov_first() -> bytes:
    """Return the file as it is best played: ftyp, moov, free, mdat."""
    part = parts(moov_last())
    return part[b"ftyp"] + shifted(part[b"moov"], len(part[b"moov"])) + part[b"free"] + part[b"mdat"]


@cache
def fragmented() -> bytes:
    """Return the file in fragments of a second: ftyp, moov, (moof, mdat)..., mfra."""
    return encoded("mp4", options="frag_keyframe+empty_moov+default_base_moof")


def fragments(file: bytes) -> list[tuple[int, int]]:
    """List the fragments of a file: the first byte of each moof, the byte behind its mdat."""
    places = list(boxes(file))
    return [(one[1], two[2]) for one, two in pairwise(places) if one[0] == b"moof"]


def rebuilt(*, first: bytes = b"", ftyp: bytes | None = None, free: bytes | None = None, mdat: bytes = b"") -> bytes:
    """Return the file with moov in front, with other boxes, its offsets put right."""
    part = parts(moov_first())
    ftyp = part[b"ftyp"] if ftyp is None else ftyp
    free = part[b"free"] if free is None else free
    moov = shifted(part[b"moov"], len(first) + len(ftyp) - len(part[b"ftyp"]))
    return first + ftyp + moov + free + (mdat or part[b"mdat"])


def mdat_to_the_end(file: bytes) -> bytes:
    """Return the file with an mdat that declares no size: it runs to the end of the file."""
    [(first, _)] = [(first, end) for kind, first, end in boxes(file) if kind == b"mdat"]
    return file[:first] + bytes(4) + file[first + 4 :]


def _brand(brand: bytes) -> bytes:
    return moov_first().replace(b"ftypisom", b"ftyp" + brand, 1)


def _mdat_of_64_bits() -> bytes:
    body = parts(moov_first())[b"mdat"][8:]
    return rebuilt(free=b"", mdat=b"\0\0\0\1mdat" + (len(body) + 16).to_bytes(8) + body)


def _without_moov() -> bytes:
    return b"".join(part for kind, part in parts(moov_last()).items() if kind != b"moov")


def _moov_alone() -> bytes:
    part = parts(moov_first())
    return part[b"ftyp"] + part[b"moov"]


def _fragments_cut(fragment: int, cut: Callable[[int, int, int], int]) -> bytes:
    """Return the fragmented file up to a byte chosen from the places of a fragment: its moof, its mdat, its end."""
    file = fragmented()
    moof, end = fragments(file)[fragment]
    mdat = moof + int.from_bytes(file[moof : moof + 4])
    return file[: cut(moof, mdat, end)]


# --- Other media


@cache
def opus(form: str) -> bytes:
    """Encode a second of Opus in a container of another kind."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        _encode_sound(container, stream, tone(1, 48_000), "s16")
    return file.getvalue()


@cache
def adts() -> bytes:
    """Encode a second of AAC without a container."""
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        _encode_sound(container, stream, tone(1), "s16")
    return file.getvalue()


# --- The tables

COMPLETE: dict[str, Make] = {
    "wav": wav,
    "wav, LIST of odd length with its pad byte": lambda: riff(fmt(), chunk(b"LIST", noise(27)), chunk(b"data", pcm())),
    "wav, bext and JUNK in front": lambda: riff(
        chunk(b"JUNK", bytes(28)), chunk(b"bext", bytes(602)), fmt(), chunk(b"data", pcm())
    ),
    "wav, LIST behind the data": lambda: riff(fmt(), chunk(b"data", pcm()), chunk(b"LIST", b"INFO" + noise(40))),
    "wav, extensible, four channels": lambda: riff(fmt(channels=4, extensible=True), chunk(b"data", pcm())),
    "wav, RF64": partial(rf64, b"RF64"),
    "wav, BW64": partial(rf64, b"BW64"),
    "mp3": mp3,
    "mp3, frames alone": frames,
    "mp3, one more tag": lambda: id3(500) + mp3(),
    "mp3, two more tags": lambda: id3(500) + id3(77) + mp3(),
    "mp3, a tag of 300 kB": lambda: id3(300_000) + mp3()[len(tag_of_mp3()) :],
    "mp3, ID3v1 at the end": lambda: mp3() + ID3V1,
    "mp3, APEv2 at the end": lambda: mp3() + ape(),
    "mp3, 8 kHz": lambda: mp3(8_000),
    "mp3, 44.1 kHz, variable bit rate": lambda: mp3(44_100, variable=True),
    "mp3, one frame": lambda: frames()[:MP3_FRAME],
    "mp3, frames alone, cut between two": lambda: frames()[: 40 * MP3_FRAME],
    "mp4, moov first": moov_first,
    "mp4, moov last": moov_last,
    "mp4, mdat to the end": lambda: mdat_to_the_end(moov_first()),
    "mp4, mdat of 64 bits": _mdat_of_64_bits,
    "mp4, free behind": lambda: moov_first() + box(b"free", bytes(10)),
    "mp4, ©xyz behind": lambda: moov_first() + box(b"\xa9xyz", bytes(10)),
    **{
        f"mp4, {kind.decode('latin-1')} first": partial(lambda kind: rebuilt(first=box(kind, noise(16))), kind)
        for kind in (b"uuid", b"wide", b"skip", b"pnot", b"abcd", b"\xa9xyz")
    },
    "mp4, no ftyp": lambda: rebuilt(ftyp=b""),
    "mp4, QuickTime brand": partial(_brand, b"qt  "),
    "mp4, 3GPP brand": partial(_brand, b"3gp4"),
    "mp4, second mdat": lambda: moov_first() + box(b"mdat", noise(100)),
    "mp4, empty mdat": lambda: moov_first() + box(b"mdat"),
    "mp4, fragments": fragmented,
    "mp4, fragments without mfra": lambda: fragmented()[: fragments(fragmented())[-1][1]],
    "mp4, styp in the place of ftyp": lambda: fragmented().replace(b"ftyp", b"styp", 1),
    "mp4, fragments, cut between two": lambda: _fragments_cut(2, lambda moof, mdat, end: end),
    "mp4, sound alone": lambda: encoded("mp4", video=False),
    "m4a": lambda: encoded("ipod", video=False),
    "mov": lambda: encoded("mov"),
}

REMARK: dict[str, Make] = {
    "wav, sizes 0": partial(wav, riff_size=0, data_size=0),
    "wav, sizes FFFFFFFF": partial(wav, riff_size=TO_THE_END, data_size=TO_THE_END),
    "wav, data size 0": partial(wav, data_size=0),
    "wav, data size FFFFFFFF": partial(wav, data_size=TO_THE_END),
    "wav, RIFF size 0": partial(wav, riff_size=0),
    "wav, RIFF size FFFFFFFF": partial(wav, riff_size=TO_THE_END),
    "wav, data size 7FFFF000": partial(wav, riff_size=0x7FFF_F024, data_size=0x7FFF_F000),
    "wav, data size 80000000": partial(wav, riff_size=0x8000_0024, data_size=0x8000_0000),
    "wav, sizes 7FFFFFFF": partial(wav, riff_size=0x7FFF_FFFF, data_size=0x7FFF_FFFF),
    "wav, data size 2,000,000,000": partial(wav, riff_size=2_000_000_036, data_size=2_000_000_000),
    "wav, RIFF size of the file": lambda: wav(riff_size=len(wav())),
    "wav, RIFF size 8 short": lambda: wav(riff_size=len(wav()) - 16),
    "wav, RIFF size half": lambda: wav(riff_size=len(wav()) // 2),
    "wav, 4 zeros behind": lambda: wav() + bytes(4),
    "wav, 1,000 bytes behind": lambda: wav() + noise(1000),
    "wav, ID3v1 behind": lambda: wav() + ID3V1,
    "wav, LIST of odd length without its pad byte": lambda: riff(
        fmt(), chunk(b"LIST", noise(27), pad=False), chunk(b"data", pcm())
    ),
    "wav, data of odd length": lambda: riff(fmt(), chunk(b"data", pcm()[:-1], pad=False)),
    "wav, two data chunks": lambda: riff(fmt(), chunk(b"data", pcm()), chunk(b"data", pcm())),
    "wav, RF64 with lengths 0": lambda: rf64(b"RF64", filled_in=False),
    "wav, header alone, data size 0": lambda: riff(fmt(), chunk(b"data", b"")),
    "mp3, 64 zeros behind the tag": lambda: id3(20) + bytes(64) + frames(),
    "mp3, 2,000 zeros behind the tag": lambda: id3(20) + bytes(2000) + frames(),
    "mp3, tag 20 bytes too long": lambda: id3(40)[:-20] + frames(),
    "mp3, 32 zeros first": lambda: bytes(32) + frames(),
    "mp3, 500 bytes first": lambda: noise(500) + frames(),
    "mp3, begins within a frame": lambda: frames()[100:],
    "mp3, APEv2 first": lambda: ape() + frames(),
    "mp3, 1,000 zeros behind": lambda: frames() + bytes(1000),
    "mp3, 400 bytes behind": lambda: frames() + noise(400),
    "mp3, tag in the middle": lambda: frames()[: 40 * MP3_FRAME] + id3(100) + frames()[40 * MP3_FRAME :],
    "mp3, two files in one": lambda: mp3() + mp3(),
    "mp3, free format": free_format,
    "mp3 within RIFF": lambda: riff(chunk(b"data", frames()), form=b"RMP3"),
    **{
        f"mp4, {count:,} zeros behind": partial(lambda count: moov_first() + bytes(count), count)
        for count in (1, 4, 7, 8, 16, 4096)
    },
    "mp4, moov last, 16 zeros behind": lambda: moov_last() + bytes(16),
    "mp4, 100 bytes behind": lambda: moov_first() + noise(100),
    "mp4, moov last, 100 bytes behind": lambda: moov_last() + noise(100),
    "mp4, ID3v1 behind": lambda: moov_first() + ID3V1,
    "mp4, overlong free behind": lambda: moov_first() + box(b"free", bytes(10), size=5000),
    "ogg": partial(opus, "ogg"),
    "webm": partial(opus, "webm"),
    "adts": adts,
    "avi": lambda: riff(chunk(b"LIST", b"hdrl" + bytes(60)), form=b"AVI "),
}

TRUNCATED: dict[str, Make] = {
    "wav, half": lambda: wav()[: len(wav()) // 2],
    "wav, last byte missing": lambda: wav()[:-1],
    "wav, cut in the format": lambda: wav()[:30],
    "wav, header alone": lambda: wav()[:44],
    "wav, no format": lambda: riff(chunk(b"data", pcm())),
    "wav, RF64 cut": lambda: rf64(b"RF64")[:50_000],
    "mp3, cut within a frame": lambda: mp3()[:-100],
    "mp3, cut between frames, Xing counts more": lambda: mp3()[: -5 * MP3_FRAME],
    "mp3, frames alone, cut within one": lambda: frames()[: 40 * MP3_FRAME + 100],
    "mp3, tag alone": lambda: id3(500),
    "mp3, tag cut": lambda: id3(500)[:300],
    "mp4, moov first, half": lambda: moov_first()[: len(moov_first()) // 2],
    "mp4, moov first, last byte missing": lambda: moov_first()[:-1],
    "mp4, mdat to the end, half": lambda: mdat_to_the_end(moov_first())[: len(moov_first()) // 2],
    "mp4, moov alone": _moov_alone,
    "mp4, moov last, half": lambda: moov_last()[: len(moov_last()) // 2],
    "mp4, moov last, 100 bytes missing": lambda: moov_last()[:-100],
    "mp4, moov last, mdat to the end": lambda: mdat_to_the_end(moov_last()),
    "mp4, fragments, cut within mdat": lambda: _fragments_cut(-1, lambda moof, mdat, end: end - 300),
    "mp4, fragments, cut within moof": lambda: _fragments_cut(-1, lambda moof, mdat, end: moof + 50),
    "mp4, fragments, last moof alone": lambda: _fragments_cut(-1, lambda moof, mdat, end: mdat),
}

ERROR_PAGE: dict[str, Make] = {
    "html": lambda: b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "html behind a byte-order mark": lambda: b"\xef\xbb\xbf<html><body>Fehler \xe2\x80\x93 502</body></html>",
    "json": lambda: json.dumps({"error": {"code": "InternalServerError", "message": "Fehler"}}).encode(),
    "xml": lambda: b'<?xml version="1.0" encoding="utf-8"?><Error><Code>ServerBusy</Code></Error>',
    "text": lambda: b"upstream connect error or disconnect/reset before headers. reset reason: connection failure",
}

NOT_MEDIA: dict[str, Make] = {
    "20,000 zeros": lambda: bytes(20_000),
    "noise": lambda: noise(20_000),
    "gzip": lambda: bytes.fromhex("1f8b0800000000000003") + noise(500),
}

EMPTY: dict[str, Make] = {"nothing": lambda: b""}
