"""The local server: the same API in memory, on loopback, with throttles, latency and faults from a scenario.

    scenario.py    what it is told to be            fields.py      how scenarios are read and refused
    limits.py      which requests are throttled     latency.py     how long serving takes
    faults.py      which requests meet a fault      fault_runner.py, effects.py   how one happens on the wire
    records.py     the table                        listing.py     list calls over it
    tokens.py      who may do what                  replies.py     envelopes and heads as bytes
    request.py     what was asked                   api.py         request -> answer
    connection.py  bytes <-> requests               server_core.py the way of a request, with the clock
    truth.py       what really happened             admin.py       /stub/truth and its like
    server.py, thread.py, pytest_plugin.py          how to run it; help.py  how it explains itself

Everything but connection, server_core, fault_runner, effects, server and thread is pure: `now` and chance are
arguments, so that the models of limits also serve simulations.  `HELP` is the text of `bulkwriter help stub`.  Names
load when asked for.
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
