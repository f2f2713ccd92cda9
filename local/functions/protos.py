"""Plain classes in place of the generated protobuf module that azure-functions-runtime expects.

The library is handed its protobuf module (functions-host 12) and uses of it only constructors with keyword arguments,
attributes, `WhichOneof` and a few enum constants. So no protobuf package and no copy of Microsoft's definitions.
"""

from typing import Any


class Message:
    """A record: unset fields read as None, `WhichOneof` names the field that was given."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def HasField(self, name: str) -> bool:
        """Tell whether a field was given."""
        return getattr(self, name) is not None


class TypedData:
    """One value; its only field is its kind.

    Not a Message: `Datum.from_typed_data` tells a value from the protobuf module by an attribute that must be missing.
    """

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def WhichOneof(self, _group: str) -> str | None:
        """Name the kind, or None when it is empty."""
        return next(iter(self.__dict__), None)


class ParameterBinding(Message):
    """A parameter's name and data."""

    def WhichOneof(self, _group: str) -> str:
        """Say that data travels in the message, never in shared memory."""
        return "data"


class StatusResult(Message):
    """Success or failure."""

    Failure = 0
    Success = 1


class BindingInfo(Message):
    """Direction and data type of a binding."""

    undefined = 0
    out = 1
    inout = 2


class RpcHttpCookie(Message):
    """One Set-Cookie of a response."""

    class SameSite:
        """The values that the attribute SameSite can have."""

        Lax = "Lax"
        Strict = "Strict"
        ExplicitNone = "None"


# The library reads "no value" as an attribute that is a Python keyword.
setattr(RpcHttpCookie.SameSite, "None", None)


class FunctionLoadResponse(Message):
    """Answer to a load request."""


class FunctionMetadataResponse(Message):
    """The indexed functions."""


class InvocationResponse(Message):
    """Answer to an invocation."""


class NullableBool(Message):
    """A truth value that may be missing."""


class NullableDouble(Message):
    """A number that may be missing."""


class NullableString(Message):
    """A text that may be missing."""


class NullableTimestamp(Message):
    """A time that may be missing."""


class RpcException(Message):
    """What a function raised."""


class RpcFunctionMetadata(Message):
    """One indexed function."""


class RpcHttp(Message):
    """A request or a response."""


class RpcRetryOptions(Message):
    """What `@app.retry` asked for."""


class Timestamp(Message):
    """Seconds since 1970."""


class WorkerInitResponse(Message):
    """Answer to the first request."""


class WorkerMetadata(Message):
    """The worker's versions."""
