"""Pure: the retention classes that the setting RETENTION_CLASSES names."""

import re
from dataclasses import dataclass

FOREVER = "forever"
# Azure's longest policy (docs/azure-storage.md#immutability).
LONGEST_DAYS = 146_000
CLASS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class RetentionClass:
    """A class and its days; None: for ever."""

    name: str
    days: float | None


@dataclass(frozen=True)
class RetentionClasses:
    """The classes that may be chosen; the first one is the default. Without any, recordings are kept for ever."""

    classes: tuple[RetentionClass, ...] = ()

    @property
    def default(self) -> RetentionClass | None:
        """Return the class of a recording for which none was chosen; None if there are no classes."""
        return self.classes[0] if self.classes else None

    def find(self, name: str) -> RetentionClass | None:
        """Return a class by its name; None for an unknown one."""
        return next((one for one in self.classes if one.name == name), None)

    def describe(self) -> str:
        """Name the classes, for the message about an unknown one."""
        return ", ".join(one.name for one in self.classes) or "none: set RETENTION_CLASSES"


def parse_classes(text: str) -> RetentionClasses:
    """Read classes as the setting has them; raises ValueError, which says what is wrong.

    >>> parse_classes("standard=90, court=2555, history=forever").default
    RetentionClass(name='standard', days=90.0)
    """
    found: list[RetentionClass] = []
    for part in text.split(",") if text.strip() else ():
        name, _, days = (piece.strip() for piece in part.partition("="))
        if not CLASS_NAME.fullmatch(name) or any(one.name == name for one in found):
            raise ValueError("must be name=days, separated by commas: each name once, of a-z, 0-9 and -")
        if days == FOREVER:
            found.append(RetentionClass(name, None))
            continue
        try:
            number = float(days)
        except ValueError:
            number = 0.0
        if not 0 < number <= LONGEST_DAYS:
            raise ValueError(f"{name}: the days must be more than 0 and at most {LONGEST_DAYS}, or {FOREVER}")
        found.append(RetentionClass(name, number))
    return RetentionClasses(tuple(found))
