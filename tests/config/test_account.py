"""recording/config/account.py: how settings name a storage account, and where it answers; nothing that signs."""

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from pydantic import SecretStr

from recording.config import account as accounts
from recording.config.account import StorageAccount

KEY = "c2VjcmV0LWtleQ=="
TOKEN = "sv=2021&sig=secret"


@pytest.mark.parametrize(
    "text",
    [
        f"DefaultEndpointsProtocol=https;AccountName=store;AccountKey={KEY};EndpointSuffix=core.windows.net",
        f"AccountName=store;AccountKey={KEY}",
        f"DefaultEndpointsProtocol=https;AccountName=store;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn",
        f"AccountName=a;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:2/a;"
        "TableEndpoint=http://127.0.0.1:3/a;",
        f"BlobEndpoint=https://store.blob.core.windows.net/;QueueEndpoint=https://store.queue.core.windows.net;"
        f"TableEndpoint=https://store.table.core.windows.net;SharedAccessSignature={TOKEN}",
        "UseDevelopmentStorage=true",
    ],
)
def test_a_connection_string_says_what_the_client_takes_it_for(text: str) -> None:
    """The official clients find the same addresses."""
    account = StorageAccount(connection_string=SecretStr(text))
    blob, queue = BlobServiceClient.from_connection_string(text), QueueServiceClient.from_connection_string(text)
    table = TableServiceClient.from_connection_string(text)

    assert table.url == accounts.service_url(account, "table")
    assert f"{blob.scheme}://{blob.primary_hostname}" == accounts.service_url(account, "blob")
    assert f"{queue.scheme}://{queue.primary_hostname}" == accounts.service_url(account, "queue")


def test_an_address_is_told_without_its_token() -> None:
    """A URI in the settings may carry one, or a password."""
    account = StorageAccount(
        blob_uri=f"https://store.blob.core.windows.net/?{TOKEN}", queue_uri=f"https://u:{KEY}@q.x.net"
    )

    assert ("https://store.blob.core.windows.net", "https://q.x.net") == (
        accounts.service_url(account, "blob"),
        accounts.service_url(account, "queue"),
    )


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://store.blob.core.windows.net", "store"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        ("http://localhost:10000/devstoreaccount1", "devstoreaccount1"),
    ],
)
def test_an_account_is_named_as_az_wants_it(address: str, name: str) -> None:
    """By the first label of its host, or by the path."""
    assert name == accounts.account_name(address)
