"""The list and the search: by keyboard alone, over pages, empty, and with a hostile recording."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import NARROW, Visit
from tests.support.exhibits import CASE, HOSTILE, PHONE
from tests.support.v1 import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def tab_to(page: Page, name: str, *, most: int = 30) -> None:
    """Press Tab until the element of this accessible name has the focus."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        said = await page.evaluate(
            "() => { const e = document.activeElement; "
            "return e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent; }"
        )
        if name in said:
            return
    raise AssertionError(f"nothing that is called {name} in {most} steps")


async def test_a_clerk_opens_a_hearing_by_its_reference(visit: Visit, keys: dict[str, str]) -> None:
    """By keyboard alone; the only one that fits opens at once."""
    page = await visit.open("#/", "ada")
    await tab_to(page, "Search recordings")
    await page.keyboard.type(CASE)
    await page.keyboard.press("Enter")

    await expect(page).to_have_url(f"{visit.url}/#/r/{keys['case']}")
    assert "H1" == await page.evaluate("document.activeElement.tagName")


async def test_a_compliance_officer_marks_all_recordings_of_a_person(
    visit: Visit, keys: dict[str, str], tmp_path: Path
) -> None:
    """By keyboard alone, up to the list that is saved; and nothing is searched while somebody types."""
    asked: list[str] = []
    page = await visit.open("#/?state=incomplete", "grace")
    page.on("request", lambda request: asked.append(request.url) if "participant=" in request.url else None)
    await tab_to(page, "Search recordings")
    await page.keyboard.type("+49 30 123456", delay=20)
    await page.keyboard.press("Enter")
    await page.get_by_text("1 shown").wait_for()
    await tab_to(page, "Mark all that are shown")
    await page.keyboard.press("Space")
    await page.get_by_text("1 marked").wait_for()
    await tab_to(page, "Save as CSV")
    async with page.expect_download() as saved:
        await page.keyboard.press("Enter")
    await (await saved.value).save_as(tmp_path / "list.csv")

    rows = list(csv.DictReader(io.StringIO((tmp_path / "list.csv").read_text("utf-8-sig"))))
    assert [keys["lost"]] == [row["recordingKey"] for row in rows]
    assert 1 == len(asked)


async def test_marked_recordings_are_erased_after_one_question(visit: Visit, keys: dict[str, str]) -> None:
    """One button, which says how many; called off, nothing is sent."""
    sent: list[str] = []
    page = await visit.open("#/", "alan")
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    boxes = page.get_by_label("Mark the recording of")
    await boxes.nth(0).check()
    await boxes.nth(1).check()
    await page.get_by_role("button", name="Erase…").click()  # raises if there are two

    await page.get_by_role("heading", name="Erase 2 recordings").wait_for()
    await page.keyboard.press("Escape")
    assert [] == sent


async def test_older_pages_are_added_and_back_returns_to_the_place(visit: Visit, keys: dict[str, str]) -> None:
    """The focus goes to the first of the older ones; a recording and Back show the same list at the same height."""
    page = await visit.open("#/", "ada")
    rows = page.locator("table.list tbody tr")
    await page.get_by_role("button", name="Older").click()
    await expect(page.get_by_text("no older ones")).to_be_visible()
    count = await rows.count()
    assert count > 60
    await page.evaluate("scrollTo(0, 900)")
    await page.wait_for_function("scrollY > 800")
    await rows.nth(40).get_by_role("link").click()
    await page.wait_for_function("location.hash.startsWith('#/r/')")
    await page.go_back()

    await expect(rows).to_have_count(count)
    assert await page.evaluate("scrollY") > 800


async def test_what_fits_nothing_says_which_filter_to_take_away(visit: Visit, keys: dict[str, str]) -> None:
    """Each is a link that leaves the others."""
    page = await visit.open("#/?state=staged&missing=true", "ada")
    await page.locator(".empty", has_text="No recording fits").wait_for()
    assert [] == await visit.axe()
    await page.get_by_role("link", name="safe, not archived").click()

    await page.locator("table.list a").first.wait_for()
    assert "#/?missing=true" == await page.evaluate("location.hash")


async def test_a_failure_is_shown_with_the_id_of_its_request(visit: Visit, keys: dict[str, str]) -> None:
    """What was there stays, and Try again tries again."""
    page = await visit.open("#/", "ada")
    await page.locator("table.list tbody tr").first.wait_for()
    body: dict[str, Any] = {
        "code": "IndexUnavailable",
        "message": "the search index can't be reached",
        "target": None,
        "details": [],
    }
    headers = {"x-ms-request-id": "the-request"}
    await page.route("**/v1/recordings?*", lambda route: route.fulfill(status=500, json=body, headers=headers))
    await page.get_by_label("something missing").check()
    await page.get_by_text("the search index can't be reached").first.wait_for()

    assert await page.get_by_text("the-request").is_visible()
    assert await page.locator("table.list tbody tr").count() > 10
    assert [] == await visit.axe()
    await page.unroute_all()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".problem")).to_have_count(0)


async def test_a_hostile_recording_is_text(visit: Visit, keys: dict[str, str], site: Site) -> None:
    """In the list, in a search for it, and for operators: no markup comes of it, and control characters show."""
    page = await visit.open("#/", "grace")
    await page.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    shown = await page.locator("td.reference", has_text="onerror").inner_text()

    assert "␣202etxt.exe␣0007␣2028${7*7}{{x}}" in shown
    await page.get_by_label("Search recordings").fill(PHONE)
    await page.keyboard.press("Enter")
    await page.get_by_text("Searched as participant").wait_for()
    await page.get_by_label("Search recordings").fill(HOSTILE.replace("\u2028", "").replace("\x07", ""))
    await page.keyboard.press("Enter")
    await page.locator(".empty", has_text="No recording fits").wait_for()
    assert 0 == await page.locator("main img, main script").count()


async def test_nothing_scrolls_sideways_at_320_pixels(visit: Visit, keys: dict[str, str]) -> None:
    """Rows are cards; what is shown is accessible in both widths."""
    page = await visit.open("#/", "ada")
    await page.locator("table.list tbody tr").first.wait_for()
    assert [] == await visit.axe()
    await page.set_viewport_size(NARROW)

    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert [] == await visit.axe()
