"""An identity of the app that gives no token."""

from typing import Any

from azure.core.exceptions import ClientAuthenticationError


class IdentityWithoutToken:
    """A credential whose identity doesn't exist; its error names an address that must not reach a caller."""

    async def get_token(self, *_: str, **__: Any) -> Any:
        """Raise what azure-identity raises."""
        raise ClientAuthenticationError("no identity at http://169.254.169.254")

    async def close(self) -> None:
        """Close nothing."""

    async def __aenter__(self) -> "IdentityWithoutToken":
        return self

    async def __aexit__(self, *_: object) -> None: ...
