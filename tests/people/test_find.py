"""recording/people/find.py: the recordings of a person are found, also where the index lacks rows."""

import pytest

from recording.app import App
from recording.people.find import PersonFinder
from tests.support.facts import put
from tests.support.people import ADA, GRACE, PHONE, archive, named_in_metadata_files, recorded
from tests.support.source import storage_host


async def swept(app: App, person: str, *, at_once: int = 500, after: str | None = None) -> set[str]:
    """Look through everything."""
    finder = PersonFinder(app.recordings, app.clients.index, at_once=at_once)
    found = set(await finder.in_flight(person))
    async for one in finder.archived(person, after=after):
        found |= set(one.found)
    return found


async def test_a_person_is_found_in_every_recording_whose_metadata_files_name_them(
    environment: dict[str, str],
) -> None:
    """Archived and in flight, whatever the index knows, and however their id is written."""
    async with storage_host(environment) as (app, host):
        for number, people in enumerate([(ADA, GRACE), (GRACE,), (PHONE, ADA), ()]):
            await recorded(app, host, number, people)
        await archive(app)
        in_flight = await recorded(app, host, 9, (ADA, PHONE))
        wanted = {person: await named_in_metadata_files(app, person) for person in (ADA, GRACE, PHONE)}

        found = {person: await swept(app, person, at_once=2) for person in wanted}
        written_otherwise = [await swept(app, text) for text in (ADA.upper(), "+1 (425) 555-0123", "8:acs:nobody")]
        known = set(await app.exports.finder.indexed(ADA))

        assert [3, 2, 2] == [len(keys) for keys in wanted.values()]
        assert wanted == found
        assert [wanted[ADA], wanted[PHONE], set()] == written_otherwise
        # The timer writes the rows of what is in flight.
        assert wanted[ADA] - {in_flight} == known


async def test_what_cannot_be_read_is_named_and_the_search_goes_on_behind_a_key(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each part says up to where it came: the next process goes on there."""
    async with storage_host(environment) as (app, host):
        keys = [await recorded(app, host, number, (ADA,)) for number in range(3)]
        await archive(app)
        await put(app.settings, "archive", f"2026/03/01/{keys[1]}/recording.json", b"{}")
        finder = PersonFinder(app.recordings, app.clients.index, at_once=1)

        parts = [one async for one in finder.archived(ADA)]
        later = [one async for one in finder.archived(ADA, after=keys[1])]

    assert keys == [one.last_key for one in parts]
    assert [(keys[0],), (), (keys[2],)] == [one.found for one in parts]
    assert [(), (keys[1],), ()] == [one.unreadable for one in parts]
    assert [keys[2]] == [one.last_key for one in later]
    assert "recording.unreadable" in caplog.text
