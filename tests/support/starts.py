"""The starts that are recorded."""

from recording.app import App
from tests.support.emulator import Control
from tests.support.facts import body_of, listing


async def tries(app: App) -> list[str]:
    """Return what is known of each try: `claim`, or its outcome."""
    found = {}
    for name in sorted(await listing(app.settings, "archive")):
        if name.startswith("starts/"):
            number, _, kind = name.rpartition("/")[2].partition("-")
            body = await body_of(app.settings, "archive", name)
            found[number] = body["result"] if kind == "outcome.json" else "claim"
    return list(found.values())


async def asked(control: Control) -> int:
    """Count how often ACS was asked to start."""
    requests = (await control.call("GET", "requests"))["requests"]
    return len([r for r in requests if r["method"] == "POST" and r["path"].endswith("/recordings")])
