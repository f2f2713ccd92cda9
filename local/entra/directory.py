"""Who is in the tenant: the applications of docs/entra.md#two-registrations, people and services with their roles."""

from dataclasses import dataclass

TENANT = "00000000-0000-4000-8000-00000000e001"
# The client ids of the applications: the API, whose tokens the app accepts, and the page that asks for them.
API, PAGE = "00000000-0000-4000-8000-00000000e002", "00000000-0000-4000-8000-00000000e003"
SCOPE = f"{API}/access"
SECRET = "local-development-only"  # noqa: S105 - of a service that exists on this machine only


@dataclass(frozen=True)
class Person:
    """Somebody who signs in by a click."""

    login: str
    name: str
    object_id: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """An application that signs in with a secret, which is as public as the emulator's key."""

    client_id: str
    secret: str
    object_id: str
    roles: tuple[str, ...]


PEOPLE = {
    person.login: person
    for person in (
        Person("ada", "Ada Lovelace", "00000000-0000-4000-8000-00000000e011", ("Recordings.Read",)),
        Person("edsger", "Edsger Dijkstra", "00000000-0000-4000-8000-00000000e012", ("Recordings.Operate",)),
        Person("barbara", "Barbara Liskov", "00000000-0000-4000-8000-00000000e013", ("Recordings.Control",)),
        Person("grace", "Grace Hopper", "00000000-0000-4000-8000-00000000e014", ("Recordings.Manage",)),
        Person("alan", "Alan Turing", "00000000-0000-4000-8000-00000000e015", ("Recordings.Erase",)),
    )
}
SERVICES = {
    service.client_id: service
    for service in (
        Service(
            "00000000-0000-4000-8000-00000000e021",
            SECRET,
            "00000000-0000-4000-8000-00000000e022",
            ("Recordings.Control", "Recordings.Read"),
        ),
        Service(
            "00000000-0000-4000-8000-00000000e023",
            SECRET,
            "00000000-0000-4000-8000-00000000e024",
            ("Recordings.Operate",),
        ),
    )
}
