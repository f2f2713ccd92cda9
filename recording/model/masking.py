"""Pure: hides everybody but one person in what an export holds.

What is hidden is every id that metadata files and facts name beside that person's, in any text and however a phone
number is written, and whatever else looks like an id of a participant. Each of the others has one name in an export,
so that it remains readable who is who. In a list of people whatever else an entry says of one of the others, such as a
display name, is hidden with the id.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from recording.model.participant import normal_participant

ANOTHER = "another-participant"
# A shorter id is hidden where it stands alone: as a part of other texts it would make them unreadable.
_SHORTEST_PART = 4
# The documented forms of a raw id (model/metadata_file.py), of whoever no metadata file names.
_RAW_ID = re.compile(
    r"(?<![0-9A-Za-z])(?:4:\+[0-9]{3,}|(?:8|48):[a-z][a-z-]*:[^\s\"'<>,;(){}\[\]]+|28:[0-9A-Za-z-]{8,})", re.IGNORECASE
)
_PHONE = re.compile(r"4:\+([0-9]+)")


class Mask:
    """Hides the ids of `others` and keeps that of `person`; which of the others is which follows from their order."""

    def __init__(self, person: str, others: Iterable[str]) -> None:
        self._person = normal_participant(person)
        self._names: dict[str, str] = {}
        found: dict[str, None] = {person: None, self._person: None}
        for one in others:
            normal = normal_participant(one)
            if normal and normal != self._person:
                self._names.setdefault(normal, f"{ANOTHER}-{len(self._names) + 1}")
                found |= {one: None, normal: None}
        # The longest first: an id may be the beginning of another one.
        parts = sorted((one for one in found if len(one) >= _SHORTEST_PART), key=len, reverse=True)
        patterns = [*map(re.escape, parts), *(_digits(one) for one in found if _PHONE.fullmatch(one))]
        self._known = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def text(self, text: str) -> str:
        """Return a text without the ids of others."""
        if normal_participant(text) == self._person:
            return text
        if name := self._names.get(normal_participant(text)):
            return name
        hidden = self._known.sub(lambda found: self._instead(found[0]), text) if self._known else text
        return _RAW_ID.sub(lambda found: self._instead(found[0]), hidden)

    def value(self, value: Any) -> Any:
        """Return JSON without the ids of others, and without what lists of people say of them."""
        match value:
            case str():
                return self._json_text(value)
            case dict():
                return {self.text(str(name)): self.value(one) for name, one in value.items()}
            case list():
                return [self._entry(one) for one in value]
            case _:
                return value

    def _json_text(self, text: str) -> str:
        """Return a text, which may be JSON in JSON, as events of this service have it."""
        if not text.lstrip().startswith(("{", "[")):
            return self.text(text)
        try:
            said = parse_json(text.encode())
        except ValueError:
            return self.text(text)
        hidden = self.value(said)
        return text if hidden == said else json.dumps(hidden, ensure_ascii=False)

    def _instead(self, found: str) -> str:
        normal = normal_participant(found)
        if normal == self._person:
            return found
        return self._names.get(normal, ANOTHER)

    def _entry(self, entry: Any) -> Any:
        """Return an entry of a list; of one that is about one of the others no text is left."""
        if not isinstance(entry, dict):
            return self.value(entry)
        others = {text for text in _texts(entry) if self.text(text) != text}
        is_about_person = any(normal_participant(text) == self._person for text in _texts(entry))
        if not others or is_about_person or any(_has_entries(one) for one in entry.values()):
            return self.value(entry)
        name = next(iter(sorted(map(self.text, others))), ANOTHER)
        return _without_texts(entry, name)


def _digits(phone: str) -> str:
    """Return a pattern of a phone number as people write it."""
    digits = _PHONE.sub(r"\1", phone)
    return r"(?<![0-9])\+?" + r"[ ()./-]*".join(digits) + r"(?![0-9])"


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, one in value.items():
                yield str(name)
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)
        case _:
            pass


def _has_entries(value: Any) -> bool:
    """Return whether there is a list of objects in it: these are looked at one by one."""
    match value:
        case list():
            return any(isinstance(one, dict) for one in value) or any(map(_has_entries, value))
        case dict():
            return any(map(_has_entries, value.values()))
        case _:
            return False


def _without_texts(value: Any, name: str) -> Any:
    match value:
        case str():
            return name
        case dict():
            return {member: _without_texts(one, name) for member, one in value.items()}
        case list():
            return [_without_texts(one, name) for one in value]
        case _:
            return value


def parse_json(body: bytes) -> Any:
    """Return what a file from outside says as JSON; raises ValueError if it is none, or is nested too deeply."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
