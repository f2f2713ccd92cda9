"""Random faults are computed from the seed: repeatable, independent of each other, at the stated rates."""

from collections import Counter

import pytest

from local.acs.errors import BadRequest
from local.faults.chaos import Chaos, ChaosBody

KINDS = {"reset": frozenset({"read", "write"}), "slow": frozenset({"read"})}
GUID = "c10e7ff4-9be9-4a1b-8d0b-{:012}"


def started(seed: int = 1, **more: object) -> Chaos:
    """Start chaos of the two kinds."""
    chaos = Chaos(KINDS)
    chaos.start(ChaosBody.model_validate({"seed": seed, "rates": {"reset": 0.1, "slow": 0.2}, **more}))
    return chaos


def test_rates() -> None:
    """Each kind is met at its rate on the routes that it applies to."""
    chaos = started()
    met = Counter(chaos.decide("read", f"document-{number % 50}") for number in range(10_000))
    others = Counter(chaos.decide("write", f"document-{number % 50}") for number in range(10_000))

    assert 900 < met["reset"] < 1100
    assert 1850 < met["slow"] < 2150
    assert (900 < others["reset"] < 1100, others["slow"]) == (True, 0)


def test_routes_differ() -> None:
    """A route can have a rate of its own, the others keep the general one."""
    chaos = started(routes={"read": {"reset": 0}})
    met = {route: {chaos.decide(route, str(number)) for number in range(200)} for route in ("read", "write")}

    assert met == {"read": {None, "slow"}, "write": {None, "reset"}}


def test_order() -> None:
    """What happens to a document does not depend on what others do in between."""
    alone, among = started(), started()
    expected = [alone.decide("read", "a") for _ in range(100)]
    found = []
    for number in range(100):
        among.decide("write", "a")
        among.decide("read", f"other-{number}")
        found.append(among.decide("read", "a"))

    assert expected == found


def test_new_ids() -> None:
    """Ids that are new in every run stand for their number, so the second recording meets what the second met."""

    def run(first: int) -> list[str | None]:
        chaos = started()
        return [
            chaos.decide("read", f"/staging/20260101T000000Z-{GUID.format(first + recording)}/chunks/{chunk}.mp4")
            for recording in range(40)
            for chunk in range(4)
        ]

    assert run(0) == run(1000)
    assert len(set(run(0))) == 3


def test_seeds() -> None:
    """Another seed leads to other faults."""
    runs = []
    for seed in (1, 1, 2):
        chaos = started(seed)
        runs.append([chaos.decide("read", str(number)) for number in range(100)])

    assert runs[0] == runs[1] != runs[2]


def test_counters() -> None:
    """The counters agree with what was decided, stay when it stops, and are reset when it starts."""
    chaos = started(routes={"write": {"reset": 1.0}})
    for number in range(10):
        chaos.decide("write", str(number))
    chaos.stop()
    after = chaos.decide("write", "0")
    stopped = chaos.view()
    chaos.start(ChaosBody(seed=1))

    assert after is None
    assert (stopped["running"], stopped["requests"], stopped["injected"]) == (False, 10, {"reset": 10})
    assert stopped["injectedByRoute"] == {"write": {"reset": 10}}
    assert chaos.view()["injected"] == {}


@pytest.mark.parametrize(
    ("more", "target"),
    [
        ({"rates": {"unknown": 0.1}}, "rates"),
        ({"routes": {"unknown": {"reset": 0.1}}}, "routes"),
        ({"routes": {"write": {"slow": 0.1}}}, "routes.write"),
        ({"rates": {"reset": 0.6, "slow": 0.6}}, "rates"),
    ],
)
def test_refused(more: dict[str, object], target: str) -> None:
    """Unknown kinds and routes, and rates that add up to more than 1, are refused; nothing starts."""
    chaos = Chaos(KINDS)
    with pytest.raises(BadRequest) as refused:
        chaos.start(ChaosBody.model_validate({"seed": 1, **more}))

    assert (refused.value.target, chaos.view()["running"]) == (target, False)
