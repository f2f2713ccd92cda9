"""Call legs, and what was started for them."""

from typing import Any

from recording.app import App
from recording.storage.starts import StartOutcome
from tests.support.emulator import Control
from tests.support.facts import body_of, listing


def leg_event(call: Any, state: str = "Established", **more: Any) -> dict[str, Any]:
    """Return the event of a call leg (docs/acs-contract.md#2021-callbacks)."""
    return {
        "id": "8e7f5d6a-0b7c-4a52-9f0c-1f3b5f2c7d10",
        "subject": f"callLeg/{call['callLegId']}/callState",
        "data": {
            "callLegId": call["callLegId"],
            "conversationId": call["conversationId"],
            "callState": state,
        },
        "eventType": "Microsoft.Communication.CallLegStateChanged",
        "eventTime": "2026-03-01T12:00:00Z",
        **more,
    }


async def started(control: Control) -> int:
    """Count the recordings that the service has started."""
    return len((await control.call("GET", "recordings"))["recordings"])


async def outcomes(app: App) -> list[str]:
    """Read the outcomes of all tries of AUTO_RECORD, in their order."""
    names = [name for name in sorted(await listing(app.settings, "archive")) if name.endswith("-outcome.json")]
    return [StartOutcome.model_validate(await body_of(app.settings, "archive", name)).result for name in names]
