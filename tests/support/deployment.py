"""The app settings that the templates evaluate to."""

from tests.infra.snapshots import resource


def app_settings(variant: str = "default") -> dict[str, str]:
    """Read the app settings of a variant as they are evaluated."""
    found: dict[str, str] = resource("Microsoft.Web/sites/config", "appsettings", variant).properties
    return found
