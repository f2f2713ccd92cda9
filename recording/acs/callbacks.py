"""Authentication of callbacks, by the token that ACS signs for each (docs/acs-contract.md#callbacks).

A token proves the sender, not the body: whoever has a token can send it again within its five minutes,
with any body. A repeated callback does no harm: the state of a recording is only logged, a
file event is a fact that is written once under its own id, and a start is claimed once for a call.

The 2021 preview API signs nothing: its callbacks are protected only by the function key in their URL.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID

from recording import urls
from recording.config.resource import Resource
from recording.signers import FETCH_SECONDS, Signers

HOST = "https://acscallautomation.communication.azure.com"
CONFIGURATION = "/calling/.well-known/acsopenidconfiguration"


class CallbackAuth:
    """Checks that callbacks come from ACS, for the resource with `resource_id`; close it with `aclose`."""

    def __init__(
        self,
        resource: Resource,
        resource_id: UUID | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch_timeout: float = FETCH_SECONDS,
    ) -> None:
        self._audience = str(resource_id) if resource_id else None
        # An emulator on this machine signs with its own key; on loopback nobody else can answer.
        is_emulator = urls.is_loopback(urlsplit(resource.endpoint).hostname or "")
        place = resource.endpoint if is_emulator else HOST
        self._signers = Signers(place + CONFIGURATION, clock=clock, fetch_timeout=fetch_timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._signers.aclose()

    async def check(self, authorization: str | None) -> None:
        """Accept a callback if its `Authorization` header has a valid token of ACS for this resource.

        Raises Unauthorized, or KeysUnavailable while ACS's keys can't be fetched: ACS may send the callback again.
        """
        if self._audience is not None:
            await self._signers.claims(authorization, audience=self._audience)
