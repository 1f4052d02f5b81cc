"""The local server: the same API in memory, on loopback, with throttles, latency and faults from a scenario.

    scenario.py    how the server behaves           fields.py      how scenarios are read and checked
    limits.py      which requests are throttled     latency.py     how long serving takes
    faults.py      which requests meet a fault      fault_runner.py, effects.py   what a fault does on the wire
    records.py     the table of records             listing.py     list calls over the table
    query.py       what a list call asks for
    people.py      the scenario's people            community.py   makes them up
    people_endpoints.py, people_tables.py           request for people -> response
    sheet.py       a made-up spreadsheet of these people, with what is right for it
    tokens.py      who may do what                  request.py     what was asked
    endpoints.py   request -> response              responses.py   responses -> bytes
    connection.py  bytes <-> requests               server_core.py the way of a request, with the clock
    truth.py       what really happened             admin.py       /stub/truth and the other calls for tests
    server.py, thread.py, pytest_plugin.py          three ways to run it; expectation.py: what a test asks it at the end
    bench.py       what a service's own benchmarks measure
    steered.py     the clock of a test, for the stub and for the writer
    help.py        the text of `bulkwriter help stub`, which is also `HELP`

These modules act: connection, server_core, fault_runner, effects, server, steered, bench and thread.  All others are
pure: `now` and chance are arguments.  So the models of limits serve simulations too.  The names below are imported when
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scenario import Scenario
    from .server import StubServer, serve
    from .thread import StubThread

    HELP: str

__all__ = ["HELP", "Scenario", "StubServer", "StubThread", "serve"]


def __getattr__(name: str) -> Any:
    match name:
        case "HELP":
            from .help import text

            return text()
        case "Scenario":
            from .scenario import Scenario

            return Scenario
        case "StubServer" | "serve":
            from . import server

            return getattr(server, name)
        case "StubThread":
            from .thread import StubThread

            return StubThread
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
