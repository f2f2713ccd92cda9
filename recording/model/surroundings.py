"""Pure: what the page must know of its surroundings: where people sign in, and where media come from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Surroundings:
    """What the page is told, and what its policy lets it reach.

    `tenant`, `api` and `page` are ids in Entra ID; without one of them nobody can sign in. `runbook` is where
    operators read the runbook. `media` are the origins of the storage accounts from which links lead to media. `wrong`
    says that the app's settings are.
    """

    authority: str = ""
    tenant: str | None = None
    api: str | None = None
    page: str | None = None
    runbook: str | None = None
    media: tuple[str, ...] = ()
    wrong: bool = False
