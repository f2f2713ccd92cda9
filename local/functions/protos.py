"""Plain classes in place of the generated protobuf module that azure-functions-runtime expects.

The library gets its protobuf module as an argument (docs/functions-host.md#runtime-driver). It uses only constructors
with keyword arguments, attributes, `WhichOneof` and a few enum constants, so neither a protobuf package nor a copy of
Microsoft's definitions is needed. What the app doesn't use is missing (cookies, `@app.retry`): a function that uses it
fails.
"""

from typing import Any


class Message:
    """A record whose unset fields are None."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class TypedData:
    """One value; its only field is its kind.

    Not a Message: `Datum.from_typed_data` distinguishes a value from the protobuf module by a missing attribute.
    """

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def WhichOneof(self, _group: str) -> str | None:
        """Return the kind, None when it is empty."""
        return next(iter(self.__dict__), None)


class ParameterBinding(Message):
    """A parameter's name and data."""

    def WhichOneof(self, _group: str) -> str:
        """Return `data`: it is always in the message, never in shared memory."""
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


# The rest are plain records: of the worker, of its answers, of an HTTP request or response, of an exception.
WorkerMetadata = RpcFunctionMetadata = RpcHttp = RpcException = Message
WorkerInitResponse = FunctionMetadataResponse = FunctionLoadResponse = InvocationResponse = Message
