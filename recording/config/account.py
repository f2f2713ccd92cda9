"""Pure: a storage account, as settings name it; its URLs never include a secret."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

Service = Literal["blob", "queue", "table"]

# What `UseDevelopmentStorage=true` means to the SDK.
_DEVELOPMENT = {
    "blob": "http://127.0.0.1:10000/devstoreaccount1",
    "queue": "http://127.0.0.1:10001/devstoreaccount1",
    "table": "http://127.0.0.1:10002/devstoreaccount1",
}


def _check_connection(text: SecretStr) -> SecretStr:
    # The SDK checks this too, but with a ValueError that names no setting, when the first client is built.
    parts = text.get_secret_value().rstrip(";").split(";")
    if not all("=" in part for part in parts):
        raise ValueError("is not a connection string: it must have the form name=value;name=value…")
    words = {part.partition("=")[0].upper() for part in parts}
    if not (words & {"SHAREDACCESSSIGNATURE", "USEDEVELOPMENTSTORAGE"} or words >= {"ACCOUNTNAME", "ACCOUNTKEY"}):
        raise ValueError("has neither an account's name and key nor a shared access signature")
    return text


class StorageAccount(BaseModel):
    """Where a storage account is: a connection string, or URIs for the app's managed identity."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    connection_string: Annotated[SecretStr, AfterValidator(_check_connection)] | None = None
    blob_uri: str | None = Field(default=None, repr=False)
    queue_uri: str | None = Field(default=None, repr=False)
    table_uri: str | None = Field(default=None, repr=False)

    def uri(self, service: Service) -> str | None:
        """Return the address of a service, as set for the identity."""
        return {"blob": self.blob_uri, "queue": self.queue_uri, "table": self.table_uri}[service]


def read_account(environment: Mapping[str, str], name: str) -> dict[str, str] | None:
    """Read an account in the forms that the Functions host accepts (docs/functions-host.md#flex)."""
    if text := environment.get(name):
        return {"connection_string": text}
    host = environment.get(f"{name}__accountName")
    found = {
        f"{service}_uri": environment.get(f"{name}__{service}ServiceUri")
        or (host and f"https://{host}.{service}.core.windows.net")
        for service in get_args(Service)
    }
    return {key: value for key, value in found.items() if value} or None


def service_url(account: StorageAccount, service: Service) -> str:
    """Return the URL of an account's service, "" if it is unknown; without its query, which may be a token."""
    if account.connection_string is None:
        return _bare(account.uri(service) or "")
    parts = (part.partition("=") for part in account.connection_string.get_secret_value().split(";"))
    values = {word.upper(): value for word, _, value in parts}
    if values.get("USEDEVELOPMENTSTORAGE") == "true":
        return _DEVELOPMENT[service]
    if endpoint := values.get(f"{service}endpoint".upper()):
        return _bare(endpoint)
    if not (store := values.get("ACCOUNTNAME")):
        return ""
    scheme, suffix = values.get("DEFAULTENDPOINTSPROTOCOL", "https"), values.get("ENDPOINTSUFFIX", "core.windows.net")
    return f"{scheme}://{store}.{service}.{suffix}"


def missing_part(account: StorageAccount, service: Service) -> str:
    """Return what settings lack for an account's service, as text to follow the setting's name; "" if nothing."""
    found = service_url(account, service)
    if account.connection_string is not None:
        return "" if found else f": the connection string has no address of the {service} service"
    uri = account.uri(service)
    # A token is never sent without TLS.
    wrong = "is not set" if uri is None else "" if found.startswith("https://") else "is not an https URL"
    return wrong and f"__{service}ServiceUri {wrong}"


def account_name(address: str) -> str:
    """Return the account's name, from its URL: the first label of the host, or the path after an IP address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.partition(".")[0] if "." in host else parts.path.strip("/")
    return parts.path.strip("/")


def _bare(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if not parts.scheme or not parts.netloc:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}".lower()
