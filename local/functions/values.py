"""What crosses the line between host and worker: typed data, an invocation, its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

type Kind = Literal["string", "bytes", "json", "http"]


@dataclass(frozen=True)
class TypedData:
    """One value and its kind, after the host's protobuf `TypedData`.

    `string` and `json` hold text, `bytes` a byte string. `http` holds, in a request, method, url, headers, query,
    params and body (bytes or None); in a response status, headers and body.
    """

    kind: Kind
    value: Any

    def to_wire(self) -> list[Any]:
        """Give it as frames carry it."""
        return [self.kind, self.value]

    @classmethod
    def from_wire(cls, wire: list[Any] | None) -> Self | None:
        """Read it from a frame; None stays None."""
        return None if wire is None else cls(wire[0], wire[1])


@dataclass(frozen=True)
class Invocation:
    """One call of a function: the trigger's data by parameter name, and its metadata."""

    id: str
    function_id: str
    function_name: str
    inputs: Mapping[str, TypedData]
    metadata: Mapping[str, TypedData] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Give it as frames carry it."""
        return {
            "kind": "invoke",
            "id": self.id,
            "function_id": self.function_id,
            "function_name": self.function_name,
            "inputs": {name: data.to_wire() for name, data in self.inputs.items()},
            "metadata": {name: data.to_wire() for name, data in self.metadata.items()},
        }


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended; `error` is empty when it succeeded."""

    error: str = ""
    stack: str = ""
    returned: TypedData | None = None
    outputs: Mapping[str, TypedData] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether the function succeeded."""
        return not self.error

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Self:
        """Read it from a frame."""
        outputs = {name: TypedData(*wire) for name, wire in message["outputs"].items()}
        return cls(message["error"], message["stack"], TypedData.from_wire(message["returned"]), outputs)
