"""A subscription is read from JSON, or refused with a sentence."""

from pathlib import Path
from typing import Any

import pytest

from local.subscription import Subscription

LEAST = {"name": "to-app", "endpoint": "http://127.0.0.1:7071/runtime/webhooks/eventgrid?functionName=receive_event"}


def test_least() -> None:
    """A name and an endpoint are enough."""

    assert Subscription("to-app", LEAST["endpoint"]) == Subscription.from_json(LEAST)


def test_everything() -> None:
    """Every member of the JSON body has its place."""

    body = {
        **LEAST,
        "includedEventTypes": ["A", "B"],
        "eventDeliverySchema": "CloudEventSchemaV1_0",
        "maxEventsPerBatch": 10,
        "duplicates": 2,
        "shuffle": True,
        "timeScale": 0.01,
        "deadLetterFolder": "letters",
        "maxAttempts": 5,
    }

    assert Subscription(
        "to-app",
        LEAST["endpoint"],
        included_event_types=("A", "B"),
        schema="CloudEventSchemaV1_0",
        max_events_per_batch=10,
        duplicates=2,
        shuffle=True,
        time_scale=0.01,
        dead_letter_folder=Path("letters"),
        max_attempts=5,
    ) == Subscription.from_json(body)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "must be a JSON object"),
        ({"name": "to-app"}, "endpoint must be given"),
        ({}, "name and endpoint must be given"),
        ({**LEAST, "name": "a b"}, "name must be 3 to 64"),
        ({**LEAST, "name": 5}, "name must be a string"),
        ({**LEAST, "endpoint": "/hook"}, "endpoint must be an absolute http or https URL"),
        ({**LEAST, "endpoint": "ftp://127.0.0.1/"}, "endpoint must be an absolute http or https URL"),
        ({**LEAST, "includedEventTypes": "A"}, "includedEventTypes must be an array of strings"),
        ({**LEAST, "eventDeliverySchema": "Custom"}, "eventDeliverySchema must be one of"),
        ({**LEAST, "maxEventsPerBatch": 0}, "maxEventsPerBatch must be 1 to 5000"),
        ({**LEAST, "maxEventsPerBatch": True}, "maxEventsPerBatch must be a whole number"),
        ({**LEAST, "maxAttempts": 31}, "maxAttempts must be 1 to 30"),
        ({**LEAST, "duplicates": -1}, "duplicates must not be negative"),
        ({**LEAST, "shuffle": 1}, "shuffle must be true or false"),
        ({**LEAST, "timeScale": 0}, "timeScale must be above 0"),
        ({**LEAST, "timeScale": "1"}, "timeScale must be a number"),
        ({**LEAST, "colour": "red"}, "Unknown members: colour"),
    ],
)
def test_refused(body: Any, sentence: str) -> None:
    """What can't be is refused, and the wrong member is named."""

    with pytest.raises(ValueError, match=sentence):
        Subscription.from_json(body)
