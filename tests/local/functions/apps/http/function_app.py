"""HTTP functions for the tests of routes, requests and responses; no host.json, so the prefix is `api`."""

import asyncio
import json
import logging

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def answer(req: func.HttpRequest, name: str) -> func.HttpResponse:
    """Return everything about the request, and which function got it."""
    seen = {
        "function": name,
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route("users/{id}")
async def a_user(req: func.HttpRequest) -> func.HttpResponse:
    """Come before `me` by name."""
    return answer(req, "a_user")


@app.route("users/me")
async def me(req: func.HttpRequest) -> func.HttpResponse:
    """Never be reached."""
    return answer(req, "me")


@app.route("echo")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Accept any method."""
    return answer(req, "echo")


@app.route("pairs/{first}/{second}", methods=["GET"])
async def pair(req: func.HttpRequest) -> func.HttpResponse:
    """Take two parameters."""
    return answer(req, "pair")


@app.route("thing", methods=["GET"])
async def thing_read(req: func.HttpRequest) -> func.HttpResponse:
    """Take GET."""
    return answer(req, "thing_read")


@app.route("thing", methods=["DELETE", "PUT"])
async def thing_write(req: func.HttpRequest) -> func.HttpResponse:
    """Take DELETE and PUT."""
    return answer(req, "thing_write")


@app.route()
def by_name(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Be reached by the function's name; sync."""
    logging.warning("by name")
    names = {"function": context.function_name, "invocation": context.invocation_id}
    return func.HttpResponse(json.dumps(names), mimetype="application/json")


@app.route("redirect")
async def redirect(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a redirect."""
    return func.HttpResponse(status_code=302, headers={"Location": "https://example.com/a?b=c", "Retry-After": "7"})


@app.route("binary")
async def binary(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with bytes that are no text."""
    return func.HttpResponse(b"\x00\xff", mimetype="application/octet-stream")


@app.route("returns/{what}")
async def returns(req: func.HttpRequest):  # type: ignore[no-untyped-def]
    """Return what an app shouldn't."""
    match req.route_params["what"]:
        case "nothing":
            return None
        case "text":
            return "just text"
        case "header":
            return func.HttpResponse("x", headers={"X-Own": "a\r\nX-Injected: b"})
        case _:
            pass
    raise RuntimeError("on purpose")


@app.route("slow")
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    """Take 0.3 seconds without blocking."""
    await asyncio.sleep(0.3)
    return func.HttpResponse("done")
