"""Tables in documents that are made from the code; `python -m tests.support.tables` writes them.

Each stands between the marks `<!-- name -->` and `<!-- /name -->` of its document.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from recording.config import settings

DOCS = Path(__file__).parents[2] / "docs"
INFRA = DOCS.parent / "infra"
_PARAMETER = re.compile(r"^((?:@.+\n)*)param (\w+) ([\w\[\]?]+)(?: = (.+))?$", re.MULTILINE)
_DESCRIBED = re.compile(r"@description\('(.*)'\)")


# Why somebody would set a parameter. What isn't named here comes last.
PURPOSES = {
    "Where, and which ACS resource": (
        "environmentName", "location", "existingCommunicationName", "existingCommunicationGroup", "existingTopicName",
        "communicationDataLocation", "acsApiVersion",
    ),
    "Who is told, and what is logged": (
        "alertEmails", "runbookUrl", "silenceHours", "riskHours", "unannouncedMinutes", "accessLogs",
        "communicationLogs", "logRetentionDays", "telemetry",
    ),
    "Recording": (
        "autoRecord", "consent", "deleteSource", "exportOthers", "publicBaseUrl", "callbackKeySecretUri",
        "requireCallbackToken",
    ),
    "People and services under /v1": ("entraTenantId", "entraApiId", "entraPageId"),
    "How long things are kept": (
        "archiveCoolAfterDays", "archiveColdAfterDays", "retentionClasses", "archiveImmutabilitySupport",
        "archiveImmutableDays", "archiveImmutabilityLocked", "softDeleteDays", "eventRetentionDays", "derivedDays",
        "sourceRetentionHours", "erasureDelayHours", "eraseVersions",
    ),
    "Speed and size": (
        "maximumInstanceCount", "instanceMemoryMB", "httpAlwaysReadyInstances", "httpConcurrency", "ingestParallelism",
        "ingestBlockMib", "archiveSchedule", "rescueMinutes",
    ),
    "Network, zones, updates": (
        "privateNetworking", "networkAddressPrefix", "contentHosts", "zoneRedundant", "stagingSku", "archiveSku",
        "siteUpdateStrategy",
    ),
}  # fmt: skip


def parameters() -> str:
    """Return the parameters of infra/main.bicep as Markdown tables, one for each purpose."""
    rows = _rows()
    named = [name for names in PURPOSES.values() for name in names]
    purposes = PURPOSES | {"Everything else": tuple(name for name in rows if name not in named)}
    head = ["| parameter | `azd env set` | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n\n".join(
        "\n".join([f"### {purpose}", "", *head, *(rows[name] for name in names)])
        for purpose, names in purposes.items()
        if names
    )


def _rows() -> dict[str, str]:
    template = (INFRA / "main.bicep").read_text()
    variables = azd_variables()
    found = {}
    for decorators, name, _, default in _PARAMETER.findall(template):
        described = _DESCRIBED.search(decorators)
        text = described[1].replace("\\'", "'").replace("|", "\\|").replace("<", "&lt;") if described else ""
        text = re.sub(r"docs/([\w-]+\.md(?:#[\w-]+)?)", r"[\1](\1)", text)
        shown = "" if default in ("", "''", "[]") else f"`{default.strip(chr(39))}`"
        variable = f"`{variables[name]}`" if name in variables else ""
        found[name] = f"| `{name}` | {variable} | {shown} | {text} |"
    return found


def azd_variables() -> dict[str, str]:
    """Return the name in an azd environment of each parameter that has one, from infra/main.bicepparam."""
    source = (INFRA / "main.bicepparam").read_text()
    read = r"readEnvironmentVariable\('(\w+)'"
    helpers = {name: variable for name, variable in re.findall(rf"^var (\w+) = .*{read}", source, re.MULTILINE)}
    found = {}
    for name, value in re.findall(r"^param (\w+) = ((?:.|\n(?!param |var |//|\n))+)", source, re.MULTILINE):
        direct = re.search(read, value)
        through = next((variable for helper, variable in helpers.items() if re.search(rf"\b{helper}\b", value)), None)
        if variable := direct[1] if direct else through:
            found[name] = variable
    return found


def operations() -> str:
    """Return the operations of docs/openapi.json as a Markdown table: who may ask, by key or by role under /v1."""
    described = json.loads((DOCS / "openapi.json").read_text())["paths"]
    found: dict[tuple[str, str], dict[str, str]] = {}
    for path, methods in described.items():
        for method, operation in methods.items():
            if method not in ("get", "post", "put", "delete", "options"):
                continue
            row = found.setdefault((path.removeprefix("/v1"), method.upper()), {"key": "", "roles": ""})
            row["summary"] = operation["summary"].replace("|", "\\|")
            if not operation["security"]:
                row["key"] = row["roles"] = "anybody"
            elif "entra" in operation["security"][0]:
                roles = [role.removeprefix("Recordings.") for role in operation["x-roles"]]
                row["roles"] = ", ".join(roles) or "any token"
            else:
                row["key"] = "yes"
    rows = ["| operation | with a key | under `/v1` | what it does |", "| --- | --- | --- | --- |"]
    for (path, method), row in found.items():
        rows.append(f"| `{method} {path}` | {row['key']} | {row['roles']} | {row['summary']} |")
    return "\n".join(rows)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "settings": ("settings.md", settings.markdown_table),
    "parameters": ("settings.md", parameters),
    "operations": ("api.md", operations),
}


def written(document: str, name: str) -> str:
    """Return what stands between the marks of a table, which the document must have once."""
    [found] = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", (DOCS / document).read_text(), re.DOTALL)
    return str(found)


def write() -> None:
    """Write every table into its document."""
    for name, (document, table) in TABLES.items():
        path = DOCS / document
        before, mark, rest = path.read_text().partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"\n<!-- /{name} -->")
        path.write_text("".join([before, mark, table(), end, after]))


if __name__ == "__main__":
    write()
