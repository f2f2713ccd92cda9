"""What host and worker exchange: typed data, an invocation, its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

type Kind = Literal["string", "bytes", "json", "http"]


@dataclass(frozen=True)
class TypedData:
    """One value and its kind, after the host's protobuf `TypedData`.

    `string` and `json` are text, `bytes` is a byte string. `http` has method, url, headers, query, params and body
    (bytes or None) in a request; status, headers and body in a response.
    """

    kind: Kind
    value: Any

    def to_wire(self) -> list[Any]:
        """Return it in the form used in frames."""
        return [self.kind, self.value]

    @classmethod
    def from_wire(cls, wire: list[Any] | None) -> Self | None:
        """Parse the form used in frames; None stays None."""
        return None if wire is None else cls(wire[0], wire[1])


@dataclass(frozen=True)
class Invocation:
    """One call of a function: the data of its trigger by parameter name, and the metadata."""

    id: str
    function_id: str
    function_name: str
    inputs: Mapping[str, TypedData]
    metadata: Mapping[str, TypedData] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return it in the form used in frames."""
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
        """Return whether the function succeeded."""
        return not self.error

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Self:
        """Parse the form used in frames."""
        outputs = {name: TypedData(*wire) for name, wire in message["outputs"].items()}
        return cls(message["error"], message["stack"], TypedData.from_wire(message["returned"]), outputs)
