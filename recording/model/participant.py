"""Pure: the one form of a participant's id, however it is written."""

import re

# With all kinds of spaces and dashes, as they are pasted.
_PHONE = re.compile(r"(?:4:|tel:)?\s*\+?([0-9][0-9\s()./\-\u2010-\u2015]{2,30})", re.IGNORECASE)
# Marks of the direction of writing, which address books put around a number.
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def normal_participant(text: str) -> str:
    """Return one form of a participant's id, whoever wrote it.

    >>> normal_participant("4:+14255550123") == normal_participant(" 1 (425) 555-0123")
    True
    >>> normal_participant("0049 (0)30 123-456"), normal_participant("tel:+49-30-123456")
    ('4:+4930123456', '4:+4930123456')
    """
    text = _MARKS.sub("", text).strip()
    if phone := _PHONE.fullmatch(text):
        # No country's code begins with 0: 00 stands for the plus sign, and (0) is dialled within the country only.
        digits = re.sub("[^0-9]", "", phone[1].replace("(0)", ""))
        return f"4:+{digits.removeprefix('00')}"
    return text.lower()
