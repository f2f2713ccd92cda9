"""HTTP functions for the tests of routes, requests and responses; no host.json, so the prefix is `api`."""

import asyncio
import json
import logging

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def answer(req: func.HttpRequest, name: str) -> func.HttpResponse:
    """Tell everything about the request, and which function got it."""
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


@app.route("numbers/{number:int:min(3)}")
async def number(req: func.HttpRequest) -> func.HttpResponse:
    """Take numbers only."""
    return answer(req, "number")


@app.route("numbers/{text}")
async def text(req: func.HttpRequest) -> func.HttpResponse:
    """Take what `number` leaves."""
    return answer(req, "text")


@app.route("echo/{*rest}")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Take any method and any path."""
    return answer(req, "echo")


@app.route("optional/{first}/{second?}", methods=["GET"])
async def optional(req: func.HttpRequest) -> func.HttpResponse:
    """Take one or two segments."""
    return answer(req, "optional")


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


@app.route("cookies")
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with two cookies."""
    response = func.HttpResponse(b"\x00\xff", mimetype="application/octet-stream")
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax")
    response.headers.add("Set-Cookie", "b=2; Max-Age=60; Expires=Thu, 01 Jan 2026 00:00:00 GMT; Secure")
    return response


@app.route("returns/{what}")
async def returns(req: func.HttpRequest):  # type: ignore[no-untyped-def]
    """Return what an app shouldn't."""
    match req.route_params["what"]:
        case "nothing":
            return None
        case "text":
            return "just text"
        case "json":
            return '{"a": 1}'
        case "described":
            return '{"status": 201, "headers": {"X-Own": "yes"}, "body": "made"}'
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
