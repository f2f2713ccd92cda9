"""An Event Grid subscription: which events go to which endpoint, and how."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

Schema = Literal["EventGridSchema", "CloudEventSchemaV1_0"]

# docs/acs-contract.md#delivery-semantics (2023 page): the delay before the second attempt, the third, ...; the last one
# repeats.
RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
TIME_TO_LIVE_SECONDS = 86400
MAX_ATTEMPTS = 30
MAX_EVENTS_PER_BATCH = 5000


@dataclass(frozen=True)
class Subscription:
    """One subscription; raises ValueError with a sentence if it is invalid.

    `duplicates` is how many additional times each event is delivered, `shuffle` delivers events in another order than
    they were published in, `time_scale` multiplies every delay of the retry schedule. Without a `dead_letter_folder` an
    undeliverable event is dropped, as in the service.
    """

    name: str
    endpoint: str
    included_event_types: tuple[str, ...] = ()
    schema: Schema = "EventGridSchema"
    max_events_per_batch: int = 1
    duplicates: int = 0
    shuffle: bool = False
    time_scale: float = 1.0
    dead_letter_folder: Path | None = None
    max_attempts: int = MAX_ATTEMPTS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-]{3,64}", self.name):
            raise ValueError(f"name must be 3 to 64 letters, digits and hyphens, not {self.name!r}.")
        address = urlsplit(self.endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"endpoint must be an absolute http or https URL, not {self.endpoint!r}.")
        if self.schema not in get_args(Schema):
            raise ValueError(f"eventDeliverySchema must be one of {', '.join(get_args(Schema))}, not {self.schema!r}.")
        if not 1 <= self.max_events_per_batch <= MAX_EVENTS_PER_BATCH:
            raise ValueError(f"maxEventsPerBatch must be 1 to {MAX_EVENTS_PER_BATCH}.")
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise ValueError(f"maxAttempts must be 1 to {MAX_ATTEMPTS}.")
        if self.duplicates < 0:
            raise ValueError("duplicates must not be negative.")
        if not 0 < self.time_scale <= 1:
            raise ValueError("timeScale must be above 0 and at most 1.")

    @classmethod
    def from_json(cls, body: Any) -> Self:
        """Parse the JSON body of a request to subscribe.

        Members: name, endpoint, includedEventTypes?, eventDeliverySchema?, maxEventsPerBatch?, duplicates?, shuffle?,
        timeScale?, deadLetterFolder?, maxAttempts?. Raises ValueError with a sentence that names the invalid one.
        """
        if not isinstance(body, dict):
            raise ValueError("A subscription must be a JSON object.")
        if missing := [name for name in ("name", "endpoint") if name not in body]:
            raise ValueError(f"{' and '.join(missing)} must be given.")
        if unknown := sorted(set(body) - set(_MEMBERS)):
            raise ValueError(f"Unknown members: {', '.join(map(str, unknown))}. Known ones: {', '.join(_MEMBERS)}.")
        arguments: dict[str, Any] = {}
        for member, value in body.items():
            argument, accepts, wanted, convert = _MEMBERS[member]
            if not accepts(value):
                raise ValueError(f"{member} must be {wanted}.")
            arguments[argument] = convert(value)
        return cls(**arguments)

    def takes(self, event_type: Any) -> bool:
        """Return whether events of this type are to be delivered."""
        return not self.included_event_types or event_type in self.included_event_types

    def delay_after(self, attempts: int, status: int | None) -> float:
        """Return the seconds, before scaling, until the next attempt.

        `attempts` counts from 1; `status` is that of the last answer, None for no answer.
        """
        least = {408: 120, 503: 30}.get(status or 0, 10)
        return max(least, RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1])


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# JSON member: argument, check of the value, description of a valid one, conversion.
_MEMBERS: dict[str, tuple[str, Callable[[Any], bool], str, Callable[[Any], Any]]] = {
    "name": ("name", _is_text, "a string", str),
    "endpoint": ("endpoint", _is_text, "a string", str),
    "includedEventTypes": ("included_event_types", _is_texts, "an array of strings", tuple),
    "eventDeliverySchema": ("schema", _is_text, "a string", str),
    "maxEventsPerBatch": ("max_events_per_batch", _is_count, "a whole number", int),
    "duplicates": ("duplicates", _is_count, "a whole number", int),
    "shuffle": ("shuffle", _is_flag, "true or false", bool),
    "timeScale": ("time_scale", _is_number, "a number", float),
    "deadLetterFolder": ("dead_letter_folder", _is_text, "a string", Path),
    "maxAttempts": ("max_attempts", _is_count, "a whole number", int),
}
