"""Pure: the one form of a participant's id, however it is written."""

import re

_PHONE = re.compile(r"(?:4:)?\s*\+?([0-9][0-9 ()./-]{2,30})")


def normal_participant(text: str) -> str:
    """Return one form of a participant's id, whoever wrote it.

    >>> normal_participant("4:+14255550123") == normal_participant(" 1 (425) 555-0123")
    True
    """
    if phone := _PHONE.fullmatch(text.strip()):
        return f"4:+{re.sub('[^0-9]', '', phone[1])}"
    return text.strip().lower()
