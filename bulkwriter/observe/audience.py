"""Tells every observer of each event, and drops one that raises.

An observer may be called anywhere: inside a connection's callback, between two replies, while a journal is opened.  An
error in it is no reason to end anything of ours.  So it is caught here and nowhere else: the observer is dropped, and
all others are told so, once.

Invariant: `tell` raises nothing but `KeyboardInterrupt` and `SystemExit`.  An observer is a plain call in which no task
of ours waits, so a `CancelledError` from it is an error of its own, such as one of a future that it read.  Observers
are told of events in the order in which these happened, and each observer of one event in the order in which they were
given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ..errors import UsageError
from ..events import Event, Observer, ObserverDropped, SharedObserver

ERROR_CHARS: Final = 200
"""So much of what an observer raised is told: an error may quote anything."""


class Audience:
    """The observers of one writer.  Raises `UsageError` for an observer that cannot be called."""

    def __init__(self, observers: Sequence[Observer | SharedObserver]) -> None:
        self._observers = tuple(map(own_observer, observers))

    @property
    def wants_metrics(self) -> bool:
        """Whether any of them asks for numbers."""
        return any(getattr(observer, "wants_metrics", False) for observer in self._observers)

    def tell(self, event: Event) -> None:
        """Tell everybody of `event`."""
        for observer in self._observers:
            if not any(observer is other for other in self._observers):  # dropped by an event that it caused itself
                continue
            try:
                observer(event)
            except (Exception, asyncio.CancelledError, GeneratorExit) as error:
                self._observers = tuple(other for other in self._observers if other is not observer)
                self.tell(ObserverDropped(name_of(observer), words_of(error)))


def own_observer(observer: Observer | SharedObserver) -> Observer:
    """The observer for this writer alone, where it is one that several writers share."""
    own = getattr(observer, "for_writer", None)
    found = own() if callable(own) else observer
    if not callable(found):
        raise UsageError(f"the observer {observer!r} cannot be called", hint="observers=[...] takes callables")
    return found


def name_of(observer: Observer) -> str:
    """A function's own name, else the name of the object's type."""
    return str(getattr(observer, "__qualname__", type(observer).__qualname__))


def words_of(error: BaseException) -> str:
    """What was raised, on one line; its type alone if it cannot even be shown."""
    try:
        return repr(error)[:ERROR_CHARS]
    except Exception:
        return type(error).__name__
