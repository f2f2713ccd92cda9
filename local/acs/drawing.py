"""Draw the pictures of a recording: one tile per participant, a REC mark and a clock.

Pictures are in planar YUV 4:2:0, the encoder's format: the tiles are converted once per set of participants, and only
the small region of the clock once per second.
"""

import colorsys
import math
import zlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1920, 1080
_BAR = 104
_GAP = 24
_BACKGROUND = (22, 24, 30)
_WHITE = (245, 246, 248)
# Left, top, width, height; even numbers, because a chroma sample covers two by two pixels.
CLOCK_BOX = (1180, 16, 720, 72)

Picture = NDArray[np.uint8]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow includes this scalable font, so no system font is needed.
    return ImageFont.load_default(size)


def to_yuv(image: Image.Image) -> Picture:
    """Convert a picture to planar YUV 4:2:0: shape (height * 3 / 2, width)."""
    rgb = av.VideoFrame.from_ndarray(np.asarray(image, dtype=np.uint8), format="rgb24")
    frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709")
    return np.asarray(frame.to_ndarray(), dtype=np.uint8)


def colour(participant_id: str) -> tuple[int, int, int]:
    """Return a participant's tile colour, the same in every recording."""
    hue = zlib.crc32(participant_id.encode("utf-8")) % 360 / 360
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55, 0.62)
    return round(red * 255), round(green * 255), round(blue * 255)


def tile_boxes(count: int) -> list[tuple[int, int, int, int]]:
    """Return the tiles of a call as (left, top, right, bottom), in reading order."""
    if count == 0:
        return []
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    width = (WIDTH - _GAP * (columns + 1)) // columns
    height = (HEIGHT - _BAR - _GAP * rows) // rows
    boxes = []
    for index in range(count):
        row, column = divmod(index, columns)
        left, top = _GAP + column * (width + _GAP), _BAR + row * (height + _GAP)
        boxes.append((left, top, left + width, top + height))
    return boxes


def draw_tiles(participants: Sequence[tuple[str, str]]) -> Picture:
    """Draw what stays the same for a set of (participant id, display name)."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((_GAP, 18, 232, 86), 16, fill=(70, 22, 26))
    draw.ellipse((44, 32, 84, 72), fill=(232, 48, 52))
    draw.text((104, 52), "REC", font=_font(44), fill=_WHITE, anchor="lm")
    draw.text((264, 52), "ACS recording emulator", font=_font(34), fill=(150, 156, 168), anchor="lm")
    if not participants:
        draw.text((WIDTH // 2, HEIGHT // 2), "nobody is in the call", font=_font(48), fill=_WHITE, anchor="mm")
    for box, (participant_id, name) in zip(tile_boxes(len(participants)), participants, strict=True):
        _draw_tile(draw, box, name, colour(participant_id))
    return to_yuv(image)


def _draw_tile(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], name: str, fill: tuple[int, int, int]
) -> None:
    left, top, right, bottom = box
    size = min(right - left, bottom - top)
    draw.rounded_rectangle(box, size // 16, fill=fill)
    centre = ((left + right) // 2, (top + bottom) // 2 - size // 14)
    radius = size // 4
    light = tuple(min(255, channel + 60) for channel in fill)
    draw.ellipse((centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius), fill=light)
    initials = "".join(word[0] for word in name.split()[:2]).upper() or "?"
    draw.text(centre, initials, font=_font(max(12, size // 5)), fill=_WHITE, anchor="mm")
    label = _font(max(10, size // 13))
    shown = name
    while len(shown) > 1 and draw.textlength(shown, font=label) > (right - left) * 0.9:
        shown = shown[:-2] + "…"
    draw.text(((left + right) // 2, bottom - size // 12), shown, font=label, fill=_WHITE, anchor="ms")


def clock_text(moment: datetime) -> str:
    """Render the burnt-in clock."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def draw_clock(moment: datetime) -> Picture:
    """Draw the clock region for a moment."""
    _, _, width, height = CLOCK_BOX
    image = Image.new("RGB", (width, height), (8, 9, 12))
    draw = ImageDraw.Draw(image)
    draw.text((width // 2, height // 2), clock_text(moment), font=_font(48), fill=_WHITE, anchor="mm")
    return to_yuv(image)


def paste(picture: Picture, region: Picture, box: tuple[int, int, int, int]) -> None:
    """Put a YUV region into a YUV picture, in place; the box is (left, top, width, height), all even."""
    left, top, width, height = box
    for target, source, scale in zip(_planes(picture), _planes(region), (1, 2, 2), strict=True):
        rows = slice(top // scale, (top + height) // scale)
        columns = slice(left // scale, (left + width) // scale)
        target[rows, columns] = source


def _planes(picture: Picture) -> tuple[Picture, Picture, Picture]:
    rows, width = picture.shape
    height = rows * 2 // 3
    flat = picture.reshape(-1)
    luma, quarter = height * width, height * width // 4
    shape = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + quarter].reshape(shape),
        flat[luma + quarter :].reshape(shape),
    )
