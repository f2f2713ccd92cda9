"""Whether requests go through a proxy that the environment names; what clients of azure-core are told of it."""

import urllib.request
from typing import Any


def client_options() -> dict[str, Any]:
    """Return the option of a client that asks the environment for a proxy, if there is one.

    By default aiohttp looks for a proxy and for a `.netrc` at each request, in a thread for each of the two: more CPU
    than all the rest of a small request (docs/measurements.md#small-requests).
    """
    return {"use_env_settings": any(scheme != "no" for scheme in urllib.request.getproxies())}
