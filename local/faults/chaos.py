"""Random faults that are the same in every run with the same seed, whatever the timing.

Whether a request goes wrong is computed from the seed, the request's operation ("route" on the control plane), its
document, and the number of earlier requests for both. Other requests, and the order in which they arrive, make no
difference.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from local.acs.bodies import ControlBody, NotNegative
from local.acs.errors import BadRequest

# GUIDs, recording keys, document ids: new in every run, so each is replaced by its number within its folder.
_TOKEN = re.compile(r"(?=[^/]*\d)[0-9a-z_-]{24,}")
_SUM_TOLERANCE = 1e-9

Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[NotNegative, Field(le=120)]


class ChaosBody(ControlBody):
    """How often requests go wrong: ``rates`` by kind; ``routes`` has other rates by route and kind.

    A rate is the share of the requests on each route to which the kind applies. The seconds limit how long one request
    is delayed: by a hang, by a slow body, and by one that trickles; and for how long a message is delivered again.
    """

    seed: int
    rates: dict[str, Rate] = Field(default_factory=dict)
    routes: dict[str, dict[str, Rate]] = Field(default_factory=dict)
    retry_after_seconds: Annotated[int, Field(ge=0, le=60)] = 1
    hang_seconds: Seconds = 2.0
    slow_seconds: Seconds = 2.0
    trickle_seconds: Seconds = 45.0
    redelivery_seconds: Annotated[NotNegative, Field(le=600)] = 20.0

    def rule_fields(self, kind: str) -> dict[str, Any]:
        """Return a random fault as the fields of a rule, if its kind means the same for every server."""
        common: dict[str, dict[str, Any]] = {
            "status429": {"kind": "status", "status": 429},
            "status429RetryAfter": {"kind": "status", "status": 429, "retryAfter": self.retry_after_seconds},
            "status500": {"kind": "status", "status": 500},
            "status503": {"kind": "status", "status": 503},
            "status503RetryAfter": {"kind": "status", "status": 503, "retryAfter": self.retry_after_seconds},
            "hang": {"kind": "hang", "seconds": self.hang_seconds},
            "slow": {"kind": "slow", "bytesPerSecond": 1024, "seconds": self.slow_seconds},
        }
        return common.get(kind, {"kind": kind})


class Chaos:
    """Decide for each request which fault it gets, and count the faults.

    ``kinds`` has the routes to which each kind of fault applies, ``paths`` the documents if it doesn't apply to all.
    """

    def __init__(self, kinds: Mapping[str, frozenset[str]], paths: Mapping[str, re.Pattern[str]] | None = None) -> None:
        self._kinds = kinds
        self._paths = paths or {}
        self._routes = sorted(frozenset[str]().union(*kinds.values()))
        self._table: dict[str, list[tuple[str, float]]] = {}
        self.settings: ChaosBody | None = None
        self._forget()

    def start(self, settings: ChaosBody) -> None:
        """Start with these rates and all counters at 0; raises BadRequest, which names what is wrong."""
        table = {route: self._rates(settings, route) for route in self._routes}
        for route, rates in settings.routes.items():
            if route not in table:
                raise BadRequest(f"There is no route {route}; there are: {', '.join(self._routes)}.", target="routes")
            for kind in rates:
                if route not in self._kinds.get(kind, frozenset()):
                    raise BadRequest(f"The kind {kind} does not apply to {route}.", target=f"routes.{route}")
        for kind in settings.rates:
            if kind not in self._kinds:
                raise BadRequest(
                    f"There is no kind {kind}; there are: {', '.join(sorted(self._kinds))}.", target="rates"
                )
        for route, found in table.items():
            if sum(rate for _, rate in found) > 1 + _SUM_TOLERANCE:
                raise BadRequest(f"The rates of {route} add up to more than 1.", target="rates")
        self._forget()
        self._table = table
        self.settings = settings

    def stop(self) -> None:
        """Inject no more faults; the counters are kept."""
        self.settings = None

    def decide(self, route: str, document: str) -> str | None:
        """Return the kind of fault for the next request of a route for a document, and count it."""
        if self.settings is None:
            return None
        name = self._name(document)
        number = self._seen[route, name]
        self._seen[route, name] += 1
        self._requests += 1
        left = _draw(f"{self.settings.seed}|{route}|{name}|{number}")
        for kind, rate in self._table.get(route, []):
            if left < rate:
                if kind in self._paths and not self._paths[kind].fullmatch(document):
                    return None
                self._injected[kind] += 1
                self._by_route[route, kind] += 1
                return kind
            left -= rate
        return None

    def view(self) -> dict[str, Any]:
        """Return settings and counters as JSON shows them."""
        by_route: dict[str, dict[str, int]] = {}
        for (route, kind), count in sorted(self._by_route.items()):
            by_route.setdefault(route, {})[kind] = count
        return {
            "running": self.settings is not None,
            "settings": self.settings and self.settings.model_dump(by_alias=True),
            "requests": self._requests,
            "injected": dict(sorted(self._injected.items())),
            "injectedByRoute": by_route,
        }

    def _rates(self, settings: ChaosBody, route: str) -> list[tuple[str, float]]:
        rates = {kind: rate for kind, rate in settings.rates.items() if route in self._kinds.get(kind, ())}
        return sorted((rates | settings.routes.get(route, {})).items())

    def _forget(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()
        self._folders: dict[str, dict[str, int]] = {}
        self._injected: Counter[str] = Counter()
        self._by_route: Counter[tuple[str, str]] = Counter()
        self._requests = 0

    def _name(self, document: str) -> str:
        """Return a document's path with a number in place of each part that is new in every run."""
        name = ""
        for part in document.lower().split("/"):
            numbers = self._folders.setdefault(name, {}) if _TOKEN.search(part) else {}
            name += "/" + _TOKEN.sub(lambda found, seen=numbers: f"#{seen.setdefault(found[0], len(seen))}", part)  # type: ignore[misc]
        return name


def _draw(text: str) -> float:
    """Return a pseudo-random number from 0 up to 1, always the same for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
