"""An HTTP service with one `BulkWriter`, on aiohttp.web, which is installed with bulkwriter.

    BULKWRITER_TOKEN=... python -m bulkwriter.examples.service --journal service.journal

    POST /completed {"lesson_id": 11, "member_id": 42}   the outcome, once it is durable:
                                                         200 {"state": "created", "record_id": 7}
                                                         202 with "pending" or "in_doubt" after --timeout: it goes on
    GET  /ready                                          200 while the writer is well, else 503 with the reason
    GET  /metrics                                        for Prometheus (extra "prometheus")

The writer lives as long as the application (`lifespan`).  A SIGTERM ends both in good order: requests in flight may end
within `drain_s`.  The writer ends first, since it answers everybody who waits, for a doubt or a quota too.  After any
ending, a kill too, a caller who got no outcome asks again: the journal knows the pair, so nothing is written twice.

400 is the caller's mistake.  202 and 503 mean "ask again later".  With 503 the pair may have been taken all the same;
then the next answer says what became of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from .. import BulkWriter, BulkwriterError, Limits, Pair, Settings, State, TryLater, UsageError

WRITER: Final = web.AppKey("writer", BulkWriter)
LATER_S: Final = "5"
"""What a caller is told to wait before it asks again."""
ANSWER_S: Final = 1.0
"""How long answers may take to reach their callers once the writer has ended."""
TIMEOUT: Final = web.AppKey("timeout", float)
MOST_ID: Final = 2**63 - 1


def application(settings: Settings, *, timeout_s: float = 30.0) -> web.Application:
    """The service.  Its writer opens when it starts, and ends with it.  A request waits at most `timeout_s`."""
    app = web.Application()
    app[TIMEOUT] = timeout_s
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

    async def end_writer(app: web.Application) -> None:
        await app[WRITER].aclose()

    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(end_writer)  # or aiohttp would first wait a minute for requests that wait for the writer
    app.router.add_post("/completed", completed)
    app.router.add_get("/ready", ready)
    return app


async def completed(request: web.Request) -> web.Response:
    """Write one pair, and answer with its outcome."""
    try:
        pair = pair_in(await request.json())
    except (ValueError, KeyError, TypeError):
        return web.json_response({"error": 'not like {"lesson_id": 11, "member_id": 42}'}, status=400)
    try:
        outcome = await request.app[WRITER].write(pair, timeout=request.app[TIMEOUT])
    except (TryLater, UsageError) as error:  # the second: no token as it is set up
        return web.json_response({"error": error.message}, status=503, headers={"Retry-After": LATER_S})
    except BulkwriterError as error:  # the journal failed: a new process may go on
        return web.json_response({"error": error.message}, status=500)
    told = {"state": outcome.state.word, "record_id": outcome.record_id, "message": outcome.message}
    return web.json_response(told, status=202 if outcome.state in (State.PENDING, State.IN_DOUBT) else 200)


def pair_in(body: Any) -> Pair:
    """The pair of a request.  Raises `ValueError`, `KeyError` or `TypeError` for what is none: the caller's mistake."""
    pair = Pair(body["lesson_id"], body["member_id"])
    if any(type(each) is not int or not 1 <= each <= MOST_ID for each in pair):
        raise ValueError
    return pair


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
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="how long a request waits at most [30]"
    )
    parser.add_argument(
        "--patience", type=float, default=10.0, metavar="S", help="the same where nothing can be sent [10]"
    )
    parser.add_argument(
        "--drain", type=float, default=20.0, metavar="S", help="how long a SIGTERM waits for replies [20]"
    )
    parser.add_argument("--quota", action="append", default=[], metavar="Q", help="as of bulkwriter run")
    parser.add_argument("--ledger", help="as of bulkwriter run")
    parser.add_argument("--doubt-wait", type=float, default=65.0, metavar="S", help="as of bulkwriter run [65]")
    given = parser.parse_args()
    settings = Settings(
        base_url=given.base_url,
        token=os.environ["BULKWRITER_TOKEN"],
        journal=given.journal,
        patience_s=given.patience,
        limits=Limits(drain_s=given.drain),
        quota=tuple(given.quota),
        ledger=given.ledger,
        late_apply_s=given.doubt_wait * 0.9,
        list_lag_s=given.doubt_wait * 0.1,
    )
    app = application(settings, timeout_s=given.timeout)
    web.run_app(app, host="127.0.0.1", port=given.port, shutdown_timeout=ANSWER_S, print=None)


if __name__ == "__main__":
    main()
