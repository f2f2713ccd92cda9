"""The rates of faults in a soak run: the share of the requests to each route."""

from typing import Any

# Of the requests for content and metadata.
SOURCE = {
    "status401": 0.004,
    "status429": 0.004,
    "status429RetryAfter": 0.004,
    "status500": 0.006,
    "status503": 0.006,
    "status503RetryAfter": 0.004,
    "refuse": 0.004,
    "reset": 0.004,
    "cut": 0.008,
    "short": 0.008,
    "empty": 0.004,
    "html200": 0.004,
    "html400": 0.004,
    "hang": 0.004,
    "slow": 0.004,
    "redirect": 0.01,
    "redirectRefused": 0.003,
    "status416": 0.003,
    "ignoreRange": 0.01,
    "etag": 0.006,
    "trickle": 0.002,
    "labelHtml": 0.01,
    "labelJson": 0.01,
    "expired": 0.004,
    "metadataMissing": 0.01,
    "metadataMalformed": 0.01,
}

# Of the requests to Blob and Queue Storage.
STORAGE = {
    "status503": 0.004,
    "status503RetryAfter": 0.002,
    "status500": 0.004,
    "refuse": 0.002,
    "reset": 0.002,
    "lostAnswer": 0.004,
    "cutBody": 0.003,
    "slow": 0.002,
    "hang": 0.001,
    "lateAnswer": 0.001,
}
# A byte that changes on its way into a block, also into that of a copy; an answer with a wrong CRC64, without one, or
# lost though the block is there. The answer to the block shows it.
_BLOCK = {"corrupt": 0.01, "wrongCrc": 0.01, "noCrc": 0.02, "lostAnswer": 0.01}
# Only a chunk of several MiB is sent in blocks.
_SENT = {kind: 4 * rate for kind, rate in _BLOCK.items()}
_KEPT = {"otherBytes": 0.005, "changedCopy": 0.01}
STORAGE_ROUTES = {
    "PutBlock": _SENT,
    "PutBlockFromURL": _BLOCK,
    # Content in staging, or an archive copy, that has another byte than was written, though every answer was right. A
    # comparison with the recorded CRC64 shows it.
    "PutBlob": _KEPT,
    "PutBlockList": _KEPT,
    # A message that comes twice, or again and again for a third of the time for which the source keeps a recording;
    # that others receive while it is processed; that is given up at once.
    "PutMessage": {"repeat": 0.03, "redeliver": 0.01, "poison": 0.01},
    "GetMessages": {"visible": 0.03},
}


def source_chaos(seed: int, scale: float, *, trickle_seconds: float) -> dict[str, Any]:
    """Return the body that starts the emulator's random faults, with all rates multiplied by `scale`."""
    seconds = {"hangSeconds": 1, "slowSeconds": 1, "trickleSeconds": trickle_seconds}
    return {"seed": seed, "rates": _scaled(SOURCE, scale), **seconds}


def storage_chaos(seed: int, scale: float, *, redelivery_seconds: float) -> dict[str, Any]:
    """Return the body that starts the storage proxy's random faults, with all rates multiplied by `scale`."""
    routes = {route: _scaled(rates, scale) for route, rates in STORAGE_ROUTES.items()}
    seconds = {"hangSeconds": 1, "slowSeconds": 1, "redeliverySeconds": redelivery_seconds}
    return {"seed": seed, "rates": _scaled(STORAGE, scale), "routes": routes, **seconds}


def _scaled(rates: dict[str, float], scale: float) -> dict[str, float]:
    return {kind: round(rate * scale, 6) for kind, rate in rates.items()}
