"""Signing in: the place is kept, tokens are in memory only, and what isn't set up is said."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Route

from recording.api.page import Page as Files
from recording.model.surroundings import Surroundings
from tests.support.browser import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_deep_link_survives_the_sign_in(visit: Visit) -> None:
    """Also a reload, which asks nothing; the code is not in the address, and nothing is kept in the browser."""
    place = "#/trail?day=2026-03-01"
    page = await visit.open(place, "grace")
    kept = "() => [Object.keys(sessionStorage), Object.keys(localStorage), document.cookie]"

    assert f"{visit.url}/{place}" == page.url
    assert [[], [], ""] == await page.evaluate(kept)
    await page.reload()
    await page.wait_for_selector("#header nav")
    assert f"{visit.url}/{place}" == page.url


async def test_a_code_that_nobody_asked_for_signs_nobody_in(visit: Visit) -> None:
    """Whoever sends somebody a link with a code of their own gets nowhere."""
    page = await visit.open("#code=stolen&state=unknown", None)

    await page.get_by_role("heading", name="The sign-in didn't work.").wait_for()
    assert await page.get_by_text("was not begun in this tab").is_visible()
    assert "code" not in page.url


async def test_who_is_signed_out_keeps_the_place(visit: Visit) -> None:
    """A token that is refused is renewed once; when that fails, too, the page says so and leaves what is there.

    It goes on saying so while something is down, and after that.
    """
    page = visit.page
    down = {"status": "failed", "checks": [{"name": "blob", "ok": False}]}
    await page.route("**/health", lambda route: route.fulfill(status=503, json=down))
    await page.clock.install()
    await visit.open("#/trail", "grace")
    await page.get_by_role("button", name="Day before").wait_for()
    await page.route("**/v1/trail?*", lambda route: route.fulfill(status=500, json={"code": "x", "message": "x"}))
    await page.get_by_role("button", name="Day before").click()
    await page.get_by_text("Storage can't be reached now.").wait_for()
    await page.route("**/v1/**", lambda route: route.fulfill(status=401, json={"code": "Unauthorized", "message": "x"}))
    await page.route("**/oauth2/v2.0/token", lambda route: route.fulfill(status=400, json={"error": "invalid_grant"}))

    await page.get_by_role("button", name="Day before").click()
    signed_out = page.get_by_text("You are signed out. This place is kept.")
    await signed_out.wait_for()
    async with page.expect_response("**/health"):
        await page.clock.fast_forward(61_000)
    await page.wait_for_load_state("networkidle")
    assert await signed_out.is_visible()
    await page.unroute("**/health")
    async with page.expect_response("**/health"):
        await page.clock.fast_forward(61_000)
    await page.wait_for_load_state("networkidle")
    assert await signed_out.is_visible()
    await page.unroute_all()
    await page.get_by_role("button", name="Sign in", exact=True).click()

    await page.wait_for_selector("#header nav")
    assert "day=" in urlsplit(page.url).fragment


async def test_without_its_settings_the_page_says_how_to_set_it_up(visit: Visit) -> None:
    """Which settings are missing, and the commands."""
    body = Files().write(Surroundings(authority="https://login.microsoftonline.com", tenant="t")).body

    async def unset(route: Route) -> None:
        await route.fulfill(body=body, content_type="text/html; charset=utf-8")

    await visit.page.route(f"{visit.url}/", unset)
    page = await visit.open("#/", None)

    await page.get_by_role("heading", name="Set up the sign-in").wait_for()
    said = await page.locator("#main").inner_text()
    assert ["ENTRA_API_ID", "ENTRA_PAGE_ID"] == [name for name in said.split() if name.startswith("ENTRA")]
    assert "sh infra/register.sh" in said
    assert [] == await visit.axe()
