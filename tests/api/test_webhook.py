"""recording/api/webhook.py: the handshakes of Event Grid and of CloudEvents, as their specifications say."""

import json
from typing import Any

import azure.functions as func
import pytest

from recording.api.webhook import answer_options, answer_validation
from recording.errors import BadRequest
from recording.model.envelope import split_events
from tests.support.samples import as_cloud_event

# The example of Event Grid's documentation (docs/acs-contract.md#validation).
VALIDATION: dict[str, Any] = {
    "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
    "topic": "/subscriptions/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
    "subject": "",
    "data": {
        "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
        "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/x/validate?id=512d38b6",
    },
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2022-10-28T04:23:35.1981776Z",
    "metadataVersion": "1",
    "dataVersion": "1",
}


def options(**headers: str) -> func.HttpResponse:
    """Ask for permission."""
    return answer_options(func.HttpRequest("OPTIONS", "/callbacks", headers=headers, body=b""))


@pytest.mark.parametrize(
    "body",
    [
        [VALIDATION],
        VALIDATION,
        as_cloud_event(VALIDATION),
        VALIDATION | {"eventType": "microsoft.eventgrid.subscriptionvalidationevent"},
        VALIDATION | {"data": json.dumps(VALIDATION["data"])},
    ],
)
def test_the_validation_event_is_answered_with_its_code(body: Any) -> None:
    """With 200, in each schema."""
    answer = answer_validation(split_events(json.dumps(body).encode()))

    assert answer is not None
    assert (200, "application/json") == (answer.status_code, answer.mimetype)
    assert {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"} == json.loads(answer.get_body())


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"5", b'{"eventType": "a"}', json.dumps([VALIDATION] * 2).encode()])
def test_anything_else_is_no_validation(body: bytes) -> None:
    """Event Grid sends its validation event alone."""
    assert answer_validation(split_events(body)) is None


@pytest.mark.parametrize("code", [None, 5, "", "x" * 513])
def test_a_validation_without_a_code_is_refused(code: Any) -> None:
    """There is nothing to answer."""
    with pytest.raises(BadRequest):
        answer_validation([json.dumps(VALIDATION | {"data": {"validationCode": code}})])


@pytest.mark.parametrize("rate", [{}, {"WebHook-Request-Rate": "120"}])
@pytest.mark.parametrize("origin", ["eventemitter.example.com", "eventgrid.azure.net"])
def test_the_handshake_of_cloudevents_permits_the_origin(origin: str, rate: dict[str, str]) -> None:
    """The origin that asks, at any rate, and POST."""
    answer = options(**{"WebHook-Request-Origin": origin}, **rate)

    assert (200, b"") == (answer.status_code, answer.get_body())
    assert {"Allow": "POST", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"} == dict(answer.headers)


def test_a_request_without_origin_is_no_handshake() -> None:
    """The specification: nothing is permitted that wasn't asked for."""
    assert {"Allow": "POST"} == dict(options().headers)


@pytest.mark.parametrize("origin", ["a\r\nX: y", "ü", "x" * 256, "a\x00"])
def test_an_origin_that_is_no_name_is_refused(origin: str) -> None:
    """It would be a header of the answer."""
    with pytest.raises(BadRequest):
        options(**{"WebHook-Request-Origin": origin})
