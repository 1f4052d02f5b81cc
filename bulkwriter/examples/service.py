"""An HTTP service with one `BulkWriter`, on aiohttp.web, which is installed with bulkwriter.

    BULKWRITER_TOKEN=... python -m bulkwriter.examples.service --journal service.journal

    POST /completed {"lesson_id": 11, "member_id": 42}   the outcome, once it is durable:
                                                         200 {"state": "created", "record_id": 7}
    GET  /ready                                          200 while the writer is well, else 503 with the reason
    GET  /metrics                                        for Prometheus (extra "prometheus")

The writer lives as long as the application (`lifespan`).  A SIGTERM ends both in good order: requests in flight may end
within `drain_s`.  After any ending, a kill too, a caller who got no answer asks again: the journal knows the pair, so
nothing is written twice.

503 means "ask again later".  The pair may have been taken all the same; then the next answer says what became of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from .. import BulkWriter, BulkwriterError, NotWell, Settings, TryLater, UsageError

WRITER: Final = web.AppKey("writer", BulkWriter)
LATER_S: Final = "5"
"""What a caller is told to wait before it asks again."""


def application(settings: Settings) -> web.Application:
    """The service.  Its writer opens when it starts, and ends with it."""
    app = web.Application()
    observers = []
    try:
        from prometheus_client import CollectorRegistry, generate_latest

        from ..observe import PrometheusMetrics

        registry = CollectorRegistry()
        observers.append(PrometheusMetrics(registry=registry))

        async def metrics(request: web.Request) -> web.Response:
            return web.Response(body=generate_latest(registry), content_type="text/plain")

        app.router.add_get("/metrics", metrics)
    except ImportError:
        pass  # the extra is not installed, so there are no metrics

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        async with BulkWriter(settings, observers=observers) as writer:
            app[WRITER] = writer
            yield

    app.cleanup_ctx.append(lifespan)
    app.router.add_post("/completed", completed)
    app.router.add_get("/ready", ready)
    return app


async def completed(request: web.Request) -> web.Response:
    """Write one pair, and answer with its outcome."""
    try:
        given = await request.json()
        pair = given["lesson_id"], given["member_id"]
    except (ValueError, KeyError, TypeError):
        return web.json_response({"error": 'not like {"lesson_id": 11, "member_id": 42}'}, status=400)
    try:
        outcome = await request.app[WRITER].write(pair)
    except UsageError as error:
        return web.json_response({"error": error.message}, status=400)
    except (NotWell, TryLater) as error:
        return web.json_response({"error": error.message}, status=503, headers={"Retry-After": LATER_S})
    except BulkwriterError as error:  # the journal failed: a new process may go on
        return web.json_response({"error": error.message}, status=500)
    told = {"state": outcome.state.word, "record_id": outcome.record_id, "message": outcome.message}
    return web.json_response(told)


async def ready(request: web.Request) -> web.Response:
    """Whether this instance should be sent requests."""
    writer = request.app[WRITER]
    if writer.is_well():
        return web.json_response({"ready": True})
    reason = writer.error.message if writer.error else "ending"
    return web.json_response({"ready": False, "reason": reason}, status=503)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bulkwriter.examples.service",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base-url", default=Settings().base_url)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--patience", type=float, default=10.0, metavar="S", help="how long a request waits [10]")
    parser.add_argument("--doubt-wait", type=float, default=65.0, metavar="S", help="as of bulkwriter run [65]")
    given = parser.parse_args()
    settings = Settings(
        base_url=given.base_url,
        token=os.environ["BULKWRITER_TOKEN"],
        journal=given.journal,
        patience_s=given.patience,
        late_apply_s=given.doubt_wait * 0.9,
        list_lag_s=given.doubt_wait * 0.1,
    )
    web.run_app(application(settings), host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    main()
