"""Pure: settings whose value is kept in Key Vault or App Configuration, and resolved by Azure.

Where that fails (no role on the vault, a firewall, a secret that is gone) the app gets the text of the reference. It
must never be used as the value: as CALLBACK_KEY it would be sent to ACS.
"""

import re
from collections.abc import Iterable, Mapping

# Read by azure-identity, from the environment (app.py).
_IDENTITY = ("AZURE_CLIENT_ID", "AZURE_TOKEN_CREDENTIALS")
_REFERENCE = re.compile(r"\s*@Microsoft\.(KeyVault|AppConfiguration)\s*\(", re.IGNORECASE)
FIX = (
    "the reference is not resolved. In Azure: give the app's identity the role Key Vault Secrets User on the vault, "
    "let the app reach the vault, check that the secret exists and is enabled, then restart the app. In a file: write "
    "the value in its place"
)


def is_reference(text: str) -> bool:
    """Return whether a setting's value is the text of a reference."""
    return _REFERENCE.match(text) is not None


def unresolved(environment: Mapping[str, str], settings: Iterable[str]) -> list[str]:
    """List the settings, also those of a storage account's parts, whose value is the text of a reference."""
    names = {*settings, *_IDENTITY}
    return sorted(name for name, text in environment.items() if name.partition("__")[0] in names and is_reference(text))
