"""Pure: what a chunk's metadata file says of its media (acs-contract 2.11, 4.11)."""

import json
from typing import Annotated

from pydantic import ValidationError

from recording.payload import Fields, Part, Word


class _Info(Fields):
    content_type: Word = None
    channel_type: Word = None
    format: Word = None


class _File(Fields):
    recording_info: Annotated[_Info, Part] = _Info()


def read(body: bytes) -> dict[str, str]:
    """Read `content_type`, `channel_type` and `format`, as far as they're known, in today's words.

    Of 2021 the first two stand in each other's place (acs-contract 0.1): a word tells itself which
    it is. A file that can't be read says nothing, and is archived as it is.
    """
    try:
        info = _File.model_validate(json.loads(body)).recording_info
    except (ValidationError, ValueError, RecursionError):
        return {}
    told = (info.content_type, info.channel_type)
    found = {
        "content_type": next((word for word in told if word in ("audio", "audioVideo")), None),
        "channel_type": next((word for word in told if word in ("mixed", "unmixed")), None),
        "format": info.format if info.format in ("mp4", "mp3", "wav") else None,
    }
    return {name: word for name, word in found.items() if word}
