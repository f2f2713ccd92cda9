"""recording/doctor/contradictions.py: settings that are each right and together wrong."""

import pytest

from recording.config.settings import VERSION_2021, read_settings
from recording.doctor import contradictions

STORE = "AccountName=store;AccountKey=c2VjcmV0LWtleQ=="
GOOD = {
    "AzureWebJobsStorage": STORE,
    "ACS_CONNECTION_STRING": "endpoint=https://one.communication.azure.com;accesskey=c2VjcmV0LWFjcw==",
    "ARCHIVE_SCHEDULE": "0 */5 * * * *",
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ACS_API_VERSION": VERSION_2021, "SOURCE_RETENTION_HOURS": "48"},
        {"ACS_ENDPOINT": "https://ONE.communication.azure.com/"},
        {"ARCHIVE_STORAGE": "AccountName=other;AccountKey=AAAA", "ARCHIVE_CONTAINER": "recordings-staging"},
        {"AUTO_RECORD": "all", "PUBLIC_BASE_URL": "https://app.example", "CALLBACK_KEY": "k"},
        {"AUTO_RECORD": "all", "PUBLIC_BASE_URL": "http://127.0.0.1:7071"},
        {"RISK_HOURS": "0", "CONTENT_HOSTS": "a.example, b.example:8443", "DELETE_SOURCE": "true"},
    ],
)
def test_what_agrees_is_one_good_finding(more: dict[str, str]) -> None:
    """Forms that look alike a contradiction and are none, among them."""
    assert ["ok"] == [one.mark for one in contradictions.find_contradictions(read_settings(GOOD | more))]


@pytest.mark.parametrize(
    ("more", "mark", "names"),
    [
        ({"RISK_HOURS": "24"}, "fail", ["RISK_HOURS", "SOURCE_RETENTION_HOURS"]),
        ({"SOURCE_RETENTION_HOURS": "48"}, "fail", ["SOURCE_RETENTION_HOURS"]),
        ({"ACS_API_VERSION": VERSION_2021, "SOURCE_RETENTION_HOURS": "49"}, "fail", ["SOURCE_RETENTION_HOURS"]),
        (
            {"RESCUE_MINUTES": "60", "SOURCE_RETENTION_HOURS": "1", "RISK_HOURS": "0.5", "UNANNOUNCED_MINUTES": "30"},
            "fail",
            ["RESCUE_MINUTES"],
        ),
        ({"UNANNOUNCED_MINUTES": "1440"}, "warn", ["UNANNOUNCED_MINUTES"]),
        ({"ARCHIVE_SCHEDULE": ""}, "fail", ["ARCHIVE_SCHEDULE"]),
        ({"ARCHIVE_SCHEDULE": "every now and then"}, "fail", ["ARCHIVE_SCHEDULE"]),
        ({"ARCHIVE_SCHEDULE": "0 0 3 * * *"}, "fail", ["ARCHIVE_SCHEDULE", "RISK_HOURS"]),
        ({"ARCHIVE_SCHEDULE": "0 0 3 * * *", "RISK_HOURS": "0"}, "fail", ["ARCHIVE_SCHEDULE"]),
        ({"ARCHIVE_SCHEDULE": "0 0 * * * *"}, "warn", ["ARCHIVE_SCHEDULE"]),
        ({"AUTO_RECORD": "all"}, "warn", ["AUTO_RECORD", "PUBLIC_BASE_URL"]),
        ({"CALLBACK_KEY": "secret-callback"}, "warn", ["CALLBACK_KEY", "PUBLIC_BASE_URL"]),
        ({"PUBLIC_BASE_URL": "https://app.example"}, "warn", ["CALLBACK_KEY"]),
        ({"ACS_ENDPOINT": "https://two.communication.azure.com"}, "fail", ["ACS_CONNECTION_STRING", "ACS_ENDPOINT"]),
        ({"EVENTS_TOPIC_KEY": "secret-topic"}, "warn", ["EVENTS_TOPIC_KEY", "EVENTS_TOPIC_ENDPOINT"]),
        (
            {"ACS_RESOURCE_ID": "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e0", "ACS_API_VERSION": VERSION_2021},
            "warn",
            ["ACS_RESOURCE_ID"],
        ),
        ({"DELETE_SOURCE": "true", "ACS_API_VERSION": VERSION_2021}, "warn", ["DELETE_SOURCE"]),
        ({"CONTENT_HOSTS": ".asm.skype.com"}, "fail", ["CONTENT_HOSTS", ".asm.skype.com"]),
        ({"ARCHIVE_CONTAINER": "recordings-staging"}, "fail", ["STAGING_CONTAINER", "ARCHIVE_CONTAINER"]),
        ({"QUARANTINE_CONTAINER": "recordings-staging"}, "fail", ["STAGING_CONTAINER", "QUARANTINE_CONTAINER"]),
        (
            {"DERIVED_STORAGE": STORE, "DERIVED_CONTAINER": "recordings-staging"},
            "fail",
            ["STAGING_CONTAINER", "DERIVED_CONTAINER"],
        ),
        (
            {"ARCHIVE_STORAGE": f"{STORE};EndpointSuffix=core.windows.net", "ARCHIVE_CONTAINER": "recordings-staging"},
            "fail",
            ["ARCHIVE_CONTAINER"],
        ),
    ],
)
def test_a_contradiction_names_the_setting_to_fix(more: dict[str, str], mark: str, names: list[str]) -> None:
    """Each alone, by the names of its settings and none of their secrets."""
    [found] = contradictions.find_contradictions(read_settings(GOOD | more))

    assert mark == found.mark
    assert [] == [name for name in names if name not in found.detail]
    assert found.fix
    assert "secret" not in f"{found.detail} {found.fix}"


def test_several_are_told_at_once() -> None:
    """One run shows all there is to fix."""
    found = contradictions.find_contradictions(
        read_settings(GOOD | {"RISK_HOURS": "100", "AUTO_RECORD": "all", "ARCHIVE_SCHEDULE": ""})
    )

    assert ["fail", "fail", "warn"] == [one.mark for one in found]
