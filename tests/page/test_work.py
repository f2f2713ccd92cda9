"""What people do in other views: steer live recordings, tend to chunks, read the trail; what each role is offered."""

import re

import pytest
from playwright.async_api import expect

from local.entra.directory import PEOPLE
from recording.model.manifest import Manifest
from tests.page.conftest import RUNBOOK
from tests.support.browser import Visit
from tests.support.exhibits import HOSTILE

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIEWS = {
    "ada": ["List"],
    "edsger": ["List", "Operations"],
    "barbara": ["Live"],
    "grace": ["List", "Trail"],
    "alan": ["List"],
}
NEEDS = {"live": "Recordings.Control", "ops": "Recordings.Operate", "trail": "Recordings.Manage"}
# Of a recording: whether it plays, whether its people are named, whether its trail is there.
OF_A_RECORDING = {
    "ada": (True, True, False),
    "edsger": (False, False, False),
    "grace": (True, True, True),
    "alan": (False, True, False),
}


@pytest.mark.parametrize("who", VIEWS)
async def test_each_role_is_offered_what_it_may_do(
    visit: Visit, keys: dict[str, str], three: Manifest, who: str
) -> None:
    """And a link to anything else says which role is missing.

    Who may not play sees the timeline and which role is missing; operators see nobody's name.
    """
    page = await visit.open("#/", who)
    links = page.locator("#header nav a")
    offered = [text.split("\n")[0].strip("0123456789") for text in await links.all_inner_texts()]

    assert VIEWS[who] == [one.split(" ")[0] for one in offered]
    for place, role in NEEDS.items():
        if role in PEOPLE[who].roles:
            continue
        await visit.go(f"#/{place}")
        await page.get_by_role("heading", name="Not with your roles").wait_for()
        assert f"needs the role {role}." in await page.locator("#main").inner_text()
    assert [] == await visit.axe()
    if who not in OF_A_RECORDING:
        return

    plays, people, trail = OF_A_RECORDING[who]
    await visit.go(f"#/r/{three.recording_key}")
    await page.get_by_role("heading", name="Files").wait_for()
    assert plays == await page.get_by_role("button", name="Play", exact=True).count()
    assert 1 - plays == await page.get_by_text("Playing needs the role").count()
    assert people == ("8:acs:ada" in await page.locator("main").inner_text())
    assert trail == await page.get_by_role("heading", name="Trail").count()


async def test_a_recording_is_paused_and_stopped_by_keyboard(visit: Visit, keys: dict[str, str]) -> None:
    """Pause at once, stop only after a question that can be called off; the focus stays where the work is."""
    page = await visit.open("#/live", "barbara")
    row = page.locator("tr", has_text="C-2026-008")
    await row.get_by_role("button", name="Pause").focus()
    await page.keyboard.press("Enter")
    await expect(row.get_by_role("button", name="Resume")).to_be_focused()
    assert await row.get_by_text("paused").is_visible()
    assert [] == await visit.axe()

    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Stop this recording?").wait_for()
    assert [] == await visit.axe()
    await page.keyboard.press("Escape")
    await expect(row.get_by_role("button", name="Stop…")).to_be_focused()
    assert await row.get_by_text("paused").is_visible()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Stop recording").focus()
    await page.keyboard.press("Enter")
    await expect(row.get_by_text("stopped, files on their way")).to_be_visible()
    assert 0 == await row.get_by_role("button", name="Stop…").count()


async def test_an_operator_queues_a_chunk_again_by_keyboard(visit: Visit, keys: dict[str, str]) -> None:
    """With a reason; what is hostile in the quarantine is text, and a replay without a reason is not sent."""
    page = await visit.open("#/ops", "edsger")
    await page.get_by_role("button", name="Queue now").focus()
    assert [] == await visit.axe()
    await page.keyboard.press("Enter")
    await page.keyboard.type("ACS answers again")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text(re.compile("queued now|on the queue already|an attempt is at work"))).to_be_visible()

    quarantined = page.get_by_role("region", name="Quarantined")
    assert HOSTILE[:28] in await quarantined.inner_text()
    assert 0 == await page.locator("main img").count()
    await quarantined.get_by_role("button", name="Replay…").click()
    await page.get_by_role("button", name="Replay", exact=True).click()
    await expect(page.get_by_role("alert").filter(has_text="Say why")).to_be_visible()
    await page.keyboard.press("Escape")
    for part in ("Not announced", "Dead letters", "Queues"):
        assert await page.get_by_role("region", name=part).is_visible()


async def test_operations_are_looked_at_again_under_the_hands_of_an_operator(
    visit: Visit, keys: dict[str, str]
) -> None:
    """The focus and the advice that is open stay; it links to its section of the runbook."""
    page = visit.page
    await page.clock.install()
    await visit.open("#/ops", "edsger")
    waiting = page.get_by_role("region", name="At risk and failing")
    await waiting.get_by_text("What to do").click()
    runbook = waiting.get_by_role("link", name="Runbook")
    assert f"{RUNBOOK}#recording-at-risk" == await runbook.get_attribute("href")
    button = waiting.get_by_role("button", name="Queue now")
    await button.focus()
    before = await button.element_handle()
    assert before is not None
    async with page.expect_response("**/v1/operations?*"):
        await page.clock.fast_forward(61_000)

    await before.wait_for_element_state("hidden")
    await expect(button).to_be_focused()
    assert await waiting.locator("details[open]").is_visible()


async def test_the_trail_of_a_day_is_read(visit: Visit, keys: dict[str, str]) -> None:
    """Who did what; the day before has nothing, and says so."""
    page = await visit.open("#/trail", "grace")
    await page.locator("table.trail tbody tr").first.wait_for()
    assert "started" in await page.locator("table.trail").inner_text()
    assert [] == await visit.axe()
    await page.get_by_role("button", name="Day before").click()

    await page.get_by_text("Nobody did anything").wait_for()
