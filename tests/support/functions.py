"""Calls functions as the host does, and reads their answers."""

import json
from typing import Any

import azure.functions as func

import function_app

Answer = func.HttpResponse


class Out:
    """What the host gives for an output binding."""

    def __init__(self) -> None:
        self.value: list[str] = []

    def set(self, value: list[str]) -> None:
        """Take the messages."""
        self.value = value

    def get(self) -> list[str]:
        """Give them back."""
        return self.value


async def call(name: str, body: Any = b"", *, params: Any = None, headers: Any = None, **route: str) -> Answer:
    """Call an HTTP function."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = func.HttpRequest("POST", "/", headers=headers, params=params, route_params=route, body=text)
    more = {"jobs": Out()} if name == "receive_callback" else {}
    answer = await getattr(function_app, name)(request, **more)
    assert isinstance(answer, func.HttpResponse)
    return answer


def read(answer: func.HttpResponse) -> tuple[int, Any]:
    """Read an answer: status and JSON body."""
    assert "application/json" == answer.mimetype
    return answer.status_code, json.loads(answer.get_body())
