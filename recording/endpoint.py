"""Pure: where a storage account answers, read from its settings; never what signs."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from recording.settings import Account

# What the SDK takes `UseDevelopmentStorage=true` for.
_DEVELOPMENT = {
    "blob": "http://127.0.0.1:10000/devstoreaccount1",
    "queue": "http://127.0.0.1:10001/devstoreaccount1",
}


def of(account: Account, service: Literal["blob", "queue"]) -> str:
    """Say where an account's service is, without a query: that may be a token."""
    if account.connection_string is None:
        return _bare((account.blob_uri if service == "blob" else account.queue_uri) or "")
    parts = (part.partition("=") for part in account.connection_string.get_secret_value().split(";"))
    values = {name.strip().lower(): value.strip() for name, _, value in parts}
    if values.get("usedevelopmentstorage", "").lower() == "true":
        return _DEVELOPMENT[service]
    if endpoint := values.get(f"{service}endpoint"):
        return _bare(endpoint)
    scheme, suffix = values.get("defaultendpointsprotocol", "https"), values.get("endpointsuffix", "core.windows.net")
    return f"{scheme}://{values.get('accountname', '')}.{service}.{suffix}"


def name(address: str) -> str:
    """Read the account's name from its address: the first label, or the path behind an IP address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.partition(".")[0] if "." in host else parts.path.strip("/")
    return parts.path.strip("/")


def _bare(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}".lower()
