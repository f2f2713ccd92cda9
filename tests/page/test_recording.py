"""The view of one recording, in a browser: how it plays, what it says, and what each role sees."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Route, expect

from local.azurite import Azurite
from recording.config.settings import read_settings
from recording.model.manifest import Manifest, Participant
from tests.support.browser import NARROW, Visit
from tests.support.facts import trail_of
from tests.support.played import Part, put_recording, readable
from tests.support.v1 import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def clock(page: Page) -> str:
    """Return where the player is."""
    return (await page.locator(".clock").text_content() or "").partition(" /")[0]


async def test_three_chunks_play_in_a_row_over_a_pause_and_a_loss(visit: Visit, site: Site, three: Manifest) -> None:
    """By keyboard; each skip is said, and the trail has each chunk that was played, once."""
    page = await visit.open(f"#/r/{three.recording_key}")
    await page.get_by_role("slider", name="Timeline").focus()
    said: list[str] = []
    await page.expose_function("noted", lambda text: said.append(text))
    await page.evaluate(
        "new MutationObserver(() => noted(document.querySelector('.words').textContent))"
        ".observe(document.querySelector('.words'), {childList: true, subtree: true, characterData: true})"
    )
    for _ in range(4):
        await page.keyboard.press(">")
    await page.keyboard.press("k")
    await page.get_by_role("button", name="Pause", exact=True).wait_for()
    await page.get_by_role("button", name="Play", exact=True).wait_for()

    assert "0:01:13" == await clock(page)
    assert any("Skipped paused, 0:01:00" in one for one in said)
    assert any("Skipped lost, 0:00:07. SourceGone: ACS has no such document; last asked for" in one for one in said)
    facts = [
        one for one in await trail_of(read_settings(site.environ)) if one.get("recordingKey") == three.recording_key
    ]
    assert [[0], [2]] == [one["indexes"] for one in facts if one["operation"] == "play"]


async def test_the_player_is_used_by_keyboard(visit: Visit, three: Manifest) -> None:
    """Arrows, chapters, both ends, ten seconds; the list of keys, which can be switched off; never where one types."""
    page = await visit.open(f"#/r/{three.recording_key}?t=71")
    slider = page.get_by_role("slider", name="Timeline")
    await slider.focus()
    said = await slider.get_attribute("aria-valuetext") or ""
    assert re.fullmatch(r"1 minute 11 seconds, chunk 3 of 3, \d\d:01:11", said)
    found = []
    for key in ("Home", "PageUp", "PageUp", "PageUp", "PageDown", "ArrowLeft", "End", "j", "l", "ArrowLeft"):
        await page.keyboard.press(key)
        found.append((key, await clock(page)))
    assert [
        ("Home", "0:00:00"),
        ("PageUp", "0:01:01"),
        ("PageUp", "0:01:10"),
        ("PageUp", "0:01:13"),
        ("PageDown", "0:01:01"),
        ("ArrowLeft", "0:00:00"),
        ("End", "0:01:13"),
        ("j", "0:00:00"),
        ("l", "0:01:13"),
        ("ArrowLeft", "0:00:01"),
    ] == found

    await page.keyboard.press("?")
    await page.get_by_label("Use single keys").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("l")
    assert "0:00:01" == await clock(page)
    assert await slider.evaluate("one => one === document.activeElement")


async def test_a_seek_after_the_link_ran_out_plays_on(visit: Visit, site: Site) -> None:
    """A link that is known to have run out is renewed before the seek, one that storage refuses after it."""
    made = await put_recording(read_settings(site.environ), 2, (Part(0, 90, kind="wav", is_mixed=True),))
    asked: list[str] = []
    refused: list[str] = []

    async def links(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        [link] = body["links"]
        if not asked:
            link["expiresAt"] = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        asked.append(link["url"])
        await route.fulfill(response=answer, json=body)

    async def media(route: Route) -> None:
        await (route.fulfill(status=403) if route.request.url in refused else route.continue_())

    page = await visit.open(f"#/r/{made.recording_key}")
    await page.route("**/v1/recordings/*/links", links)
    await page.route("**/archive-*/**", media)
    slider = page.get_by_role("slider", name="Timeline")
    await page.get_by_role("button", name="Play", exact=True).click()
    await expect(page.locator(".clock")).to_have_text(re.compile("^0:00:(0[2-9]|[1-5])"), timeout=20_000)
    assert 1 == len(asked)

    refused.append(asked[0])
    await slider.press("End")
    await slider.press("j")
    await slider.press("k")
    await expect(page.locator(".clock")).to_have_text(re.compile("^0:01:(2[1-9]|30)"), timeout=20_000)
    assert 2 == len(asked)

    refused.append(asked[1])
    # Beyond what the browser has kept of the beginning.
    for key in ("Home", "l", "l", "l", "l"):
        await slider.press(key)
    await expect(page.locator(".clock")).to_have_text(re.compile("^0:00:(4[1-9]|5)"), timeout=20_000)
    assert 3 == len(asked)
    assert "" == await page.locator(".trouble").text_content()


@pytest.mark.parametrize("is_mixed", [True, False])
async def test_a_link_that_storage_refuses_from_the_start_is_not_called_damage(
    visit: Visit, site: Site, azurite: Azurite, is_mixed: bool
) -> None:
    """Nor is a CORS rule called missing that is there; when storage answers again, it goes on."""
    part = Part(0, 30, kind="wav", is_mixed=is_mixed)
    made = await put_recording(read_settings(site.environ), 5 + is_mixed, (part,))
    headers = {"Access-Control-Allow-Origin": "*"}
    page = await visit.open(f"#/r/{made.recording_key}")
    await page.route("**/archive-*/**", lambda route: route.fulfill(status=403, headers=headers))
    async with readable(azurite):
        await page.get_by_role("button", name="Play", exact=True).click()

        await page.locator(".trouble").get_by_text("The link has run out").wait_for()
        assert 0 == await page.get_by_text("CORS").count() + await page.get_by_role("button", name="Skip it").count()
        await page.unroute("**/archive-*/**")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator(".clock")).to_have_text(re.compile("^0:00:0[1-9]"))
        assert (0 if is_mixed else 5) == await page.get_by_role("button", name=re.compile("^Mute 8")).count()


async def test_a_hostile_recording_is_shown_as_text(visit: Visit, site: Site) -> None:
    """Markup and control characters in ids, references and reasons stay what they are."""
    markup = "<img src=x onerror=alert(1)>"
    person = Participant(id=f"{markup}\u202e\u0007", kind="unknown", chunks=(0,))
    hostile = {"reference": f"{markup}\u0000</p>", "participants": (person,)}
    made = await put_recording(read_settings(site.environ), 3, (Part(0, outcome="lost"), Part(9, 3)), **hostile)
    page = await visit.open(f"#/r/{made.recording_key}", "grace")
    await page.get_by_role("heading", name="Files").wait_for()
    text = await page.locator("main").inner_text()

    assert 2 == text.count(markup)
    assert {"\u202e", "\u0007", "\u0000"}.isdisjoint(text)
    assert 0 == await page.locator("img").count()


async def test_a_key_without_a_recording_says_so(visit: Visit) -> None:
    """An unknown one, and one that is none."""
    page = await visit.open("#/r/20260301T000000000000Z-x")
    await page.get_by_text("There is no recording of this key").wait_for()
    await visit.go("#/r/x")
    await page.get_by_text("This is not the key of a recording").wait_for()


async def test_axe_finds_nothing_in_the_view(visit: Visit, three: Manifest) -> None:
    """With a pause, a lost chunk and the trail; wide and narrow."""
    page = await visit.open(f"#/r/{three.recording_key}", "grace")
    await page.locator(".past li").first.wait_for()
    assert [] == await visit.axe()
    await page.set_viewport_size(NARROW)
    assert [] == await visit.axe()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_link_to_a_moment_leads_there(visit: Visit, three: Manifest) -> None:
    """As it is copied, to somebody else's tab."""
    await visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await visit.open(f"#/r/{three.recording_key}")
    await page.get_by_role("slider", name="Timeline").press("End")
    await page.keyboard.press("ArrowLeft")
    there = await clock(page)
    await page.get_by_role("button", name="Link here").click()
    await page.get_by_text("Copied").wait_for()
    link = str(await page.evaluate("navigator.clipboard.readText()"))

    await page.goto("about:blank")
    await page.goto(link)
    await expect(page.locator(".clock")).to_have_text(re.compile(f"^{there} /"))
    assert there > "0:00:00"


async def test_a_verification_shows_its_progress_and_result(visit: Visit, site: Site, three: Manifest) -> None:
    """Chunk by chunk, as storage has them now; what isn't there is not called intact."""
    page = await visit.open(f"#/r/{three.recording_key}")
    await page.get_by_role("button", name="Verify now").click()
    await page.get_by_text("What is there, 2 chunks, is intact").wait_for()


async def test_all_files_are_downloaded_with_what_checks_them(visit: Visit, site: Site, three: Manifest) -> None:
    """Each chunk that is there under its name, then SHA256SUMS, which says that it is incomplete."""
    page = await visit.open(f"#/r/{three.recording_key}")
    names: list[str] = []
    page.on("download", lambda one: names.append(one.suggested_filename))
    await page.get_by_role("button", name="Download the 2 that are there").click()
    await page.get_by_text("2 of 3 chunks and SHA256SUMS handed to the browser").wait_for()

    key = three.recording_key
    assert [f"{key}-00000.mp4", f"{key}-00002.mp4", f"{key}-incomplete-SHA256SUMS"] == sorted(names)


async def test_a_recording_that_is_archived_while_it_is_open_shows_all_of_it(visit: Visit, site: Site) -> None:
    """A part in which somebody is waits until they leave it, or until nothing more comes; they stay where they were.

    Then it can be had as one file.
    """
    made = await put_recording(read_settings(site.environ), 8, (Part(0, 3), Part(3, 3)))
    answers = 0

    async def staged_at_first(route: Route) -> None:
        nonlocal answers
        answers += 1
        answer = await route.fetch()
        body = await answer.json()
        if answers <= 2:
            chunks = [one | {"outcome": ["staged", "unproved"][answers - 1]} for one in body["chunks"]]
            body |= {"state": "staged", "archivedAt": None, "chunks": chunks}
        await route.fulfill(response=answer, json=body)

    page = visit.page
    await page.clock.install()
    await page.route(f"**/v1/recordings/{made.recording_key}", staged_at_first)
    await visit.open(f"#/r/{made.recording_key}")
    files = page.locator(".files")
    await expect(files.get_by_text("safe")).to_have_count(2)
    assert 0 == await page.get_by_role("heading", name="One file").count()
    second = files.get_by_role("button", name="Download chunk 2")
    await second.focus()
    async with page.expect_response(f"**/v1/recordings/{made.recording_key}"):
        await page.clock.fast_forward(16_000)
    await expect(page.locator(".proof").get_by_text("2 chunks not proved")).to_be_visible()
    assert 2 == await files.get_by_text("safe").count()
    await page.get_by_role("slider", name="Timeline").focus()
    await expect(files.get_by_text("not proved")).to_have_count(2)
    await second.focus()
    await page.clock.fast_forward(16_000)

    await expect(files.get_by_text("archived", exact=True)).to_have_count(2)
    await expect(second).to_be_focused()
    await page.get_by_role("button", name="Make one file").click()
    file = page.locator(".joined .parts li")
    await expect(file.get_by_text(f"{made.recording_key}.mp4")).to_be_visible()
    await expect(file.get_by_role("button", name="Download")).to_be_enabled()


async def test_an_officer_holds_a_recording_and_lifts_the_hold_by_keyboard(visit: Visit, three: Manifest) -> None:
    """With a case and a reason; it isn't done without."""
    page = await visit.open(f"#/r/{three.recording_key}", "grace")
    await page.get_by_role("button", name="Hold…").press("Enter")
    dialog = page.get_by_role("dialog")
    await page.keyboard.type("case 118")
    await page.keyboard.press("Enter")
    await dialog.get_by_text("Say why: it stands in the trail.").wait_for()
    await page.keyboard.type("Subpoena")
    for key in ("Tab", "Tab", "Enter"):
        await page.keyboard.press(key)
    await page.get_by_text("case 118: “Subpoena”").wait_for()
    assert "on hold" in await page.locator(".top").inner_text()

    await page.get_by_role("button", name="Lift…").press("Enter")
    await page.keyboard.type("Decided")
    for key in ("Tab", "Tab", "Enter"):
        await page.keyboard.press(key)
    await page.get_by_text("No case holds it.").wait_for()


async def test_an_erasure_is_asked_for_by_a_typed_word_and_called_off(visit: Visit, three: Manifest) -> None:
    """By keyboard; without the word nothing happens."""
    page = await visit.open(f"#/r/{three.recording_key}", "alan")
    await page.get_by_role("button", name="Erase…").press("Enter")
    for key in ("Tab", "Asked for in a letter", "Tab", "delete", "Enter"):
        await (page.keyboard.press(key) if key in ("Tab", "Enter") else page.keyboard.type(key))
    await page.get_by_role("dialog").get_by_text("Type erase to go on.").wait_for()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("erase")
    await page.keyboard.press("Enter")
    await page.get_by_text("It will be erased").wait_for()
    assert "to be erased" in await page.locator(".top").inner_text()

    await page.get_by_role("button", name="Call off…").press("Enter")
    await page.get_by_role("button", name="Call it off").press("Enter")
    await page.get_by_role("button", name="Erase…").wait_for()
