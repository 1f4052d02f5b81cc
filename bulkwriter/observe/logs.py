"""Events as records of the standard library's `logging`, under loggers `bulkwriter.*`.

Every writer has this observer.  Nothing is set up here: the logger `bulkwriter` has a NullHandler, as the documentation
of `logging` asks of libraries, and whoever configures logging sees the records.  Each kind of event has its logger and
its level in a table:

    logger                   says
    bulkwriter.pace          throttles, what holds a run back, what is remembered of the server's limit
    bulkwriter.connections   trouble with connections, and its end
    bulkwriter.doubts        pairs in doubt, and looks
    bulkwriter.token         sign-ins
    bulkwriter.run           stops, notes, and a writer that cannot send
    bulkwriter.observers     an observer that was dropped

A record has two more attributes for formatters that write JSON: `bulkwriter_event`, the event's name, and
`bulkwriter_facts`, its fields.  No record holds a secret, since no event does.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from .. import events
from .sentences import facts, name, sentence

LOGGER: Final = "bulkwriter"
LEVELS: Final[dict[type[events.Event], tuple[str, int]]] = {
    events.HeldBack: ("pace", logging.DEBUG),  # the cause may change every few seconds
    events.Throttled: ("pace", logging.INFO),  # the run slows down by itself
    events.ServerBusy: ("pace", logging.INFO),
    events.Remembered: ("pace", logging.INFO),
    events.NotRemembered: ("pace", logging.WARNING),
    events.ConnectionTrouble: ("connections", logging.WARNING),
    events.Recovered: ("connections", logging.INFO),
    events.LaneShifted: ("connections", logging.WARNING),
    events.Unreadable: ("connections", logging.ERROR),
    events.DoubtsParked: ("doubts", logging.INFO),  # looks settle them
    events.DoubtsSettled: ("doubts", logging.INFO),
    events.LookFailed: ("doubts", logging.WARNING),
    events.TokenRefreshed: ("token", logging.INFO),
    events.Stopping: ("run", logging.INFO),  # an error where the event says so
    events.Unwell: ("run", logging.ERROR),
    events.Well: ("run", logging.INFO),
    events.SameRejections: ("run", logging.WARNING),
    events.Note: ("run", logging.INFO),
    events.ObserverDropped: ("observers", logging.ERROR),
    events.Opened: ("run", logging.INFO),
    events.Closed: ("run", logging.INFO),
    events.ChunkReady: ("run", logging.DEBUG),
    events.Sampled: ("pace", logging.NOTSET),  # numbers for metrics; no logger takes this level
}
"""Logger and level of each kind of event.  A test holds it total."""

logging.getLogger(LOGGER).addHandler(logging.NullHandler())


def log_event(event: events.Event) -> None:
    """Log one event, if its logger wants the level."""
    part, level = LEVELS[type(event)]
    if isinstance(event, events.Stopping) and event.is_error:
        level = logging.ERROR
    logger = logging.getLogger(f"{LOGGER}.{part}")
    if logger.isEnabledFor(level):
        told = {"bulkwriter_event": name(event), "bulkwriter_facts": facts(event)}
        logger.log(level, "%s", sentence(event, wall=time.time()), extra=told)
