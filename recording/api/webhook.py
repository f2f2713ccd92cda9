"""Answer the two handshakes by which a sender of events asks whether this app wants them.

They prove nothing about the sender: they protect others from events that they haven't requested. So they need the
function key, but no token (docs/acs-contract.md#validation, #cloudevents-validation).
"""

import json

import azure.functions as func
from azure.eventgrid import SystemEventNames

from recording.errors import BadEvent, BadRequest
from recording.model.envelope import fold, read_envelope

VALIDATION = SystemEventNames.EventGridSubscriptionValidationEventName.value
# A DNS name, or `*`, with room to spare.
_LONGEST_ORIGIN = 255
_LONGEST_CODE = 512


def answer_validation(events: list[str]) -> func.HttpResponse | None:
    """Answer the validation event of Event Grid with its code; None for any other event.

    It comes alone, in either schema.
    """
    if len(events) != 1:
        return None
    try:
        event = read_envelope(events[0])
    except BadEvent:
        return None
    if (event.type or "").lower() != VALIDATION.lower():
        return None
    code = fold(event.data).get("validationcode") if isinstance(event.data, dict) else None
    if not isinstance(code, str) or not 0 < len(code) <= _LONGEST_CODE:
        raise BadRequest("the validation event has no validationCode", target="validationCode")
    # 200: no other status is accepted.
    return func.HttpResponse(json.dumps({"validationResponse": code}), mimetype="application/json")


def answer_options(req: func.HttpRequest) -> func.HttpResponse:
    """Permit the requesting origin to send events at any rate; without an origin answer with `Allow` alone.

    `WebHook-Request-Callback` isn't called: permission is given here, and it is an address from outside.
    """
    headers = {"Allow": "POST"}
    if origin := req.headers.get("WebHook-Request-Origin"):
        if len(origin) > _LONGEST_ORIGIN or not (origin.isascii() and origin.isprintable()):
            raise BadRequest("WebHook-Request-Origin is not a DNS name", target="WebHook-Request-Origin")
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return func.HttpResponse(status_code=200, headers=headers)
