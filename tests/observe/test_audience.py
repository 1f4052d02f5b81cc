"""Every observer is told of each event, and one that raises is dropped and told once."""

from __future__ import annotations

import asyncio

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.events import Event, Note, ObserverDropped
from bulkwriter.observe.audience import Audience

FIRST, SECOND = Note("first"), Note("second")


class Failing:
    """Raises at each event."""

    def __init__(self, error: BaseException) -> None:
        self.calls = 0
        self.error = error

    def __call__(self, event: Event) -> None:
        self.calls += 1
        raise self.error


def test_all_are_told_in_order() -> None:
    a: list[Event] = []
    b: list[Event] = []
    audience = Audience([a.append, b.append])
    audience.tell(FIRST)
    audience.tell(SECOND)
    assert a == b == [FIRST, SECOND]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_raises_is_dropped_and_the_others_are_told_once(place: int) -> None:
    told: list[Event] = []
    also: list[Event] = []
    failing = Failing(ValueError("x" * 1_000))
    observers = [told.append, also.append]
    audience = Audience([*observers[:place], failing, *observers[place:]])
    audience.tell(FIRST)
    audience.tell(SECOND)
    assert failing.calls == 1
    for heard in (told, also):
        (dropped,) = [event for event in heard if isinstance(event, ObserverDropped)]
        assert dropped.observer == "Failing"
        assert dropped.error.startswith("ValueError('xxx")
        assert len(dropped.error) == 200
        assert [event for event in heard if event is not dropped] == [FIRST, SECOND]


def test_all_of_them_may_raise() -> None:
    failing = [Failing(ValueError("mine")) for _ in range(3)]
    audience = Audience(failing)
    audience.tell(FIRST)
    audience.tell(SECOND)
    assert [one.calls for one in failing] == [1, 1, 1]


def test_an_error_that_cannot_be_shown_is_told_by_its_type() -> None:
    class Mute(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    told: list[Event] = []
    Audience([Failing(Mute()), told.append]).tell(FIRST)
    assert ObserverDropped("Failing", "Mute") in told


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()])
def test_a_cancelled_future_that_an_observer_reads_cancels_nothing_of_ours(error: BaseException) -> None:
    told: list[Event] = []
    Audience([Failing(error), told.append]).tell(FIRST)
    assert told == [ObserverDropped("Failing", repr(error)), FIRST]


def test_an_interrupt_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        Audience([Failing(KeyboardInterrupt())]).tell(FIRST)


def test_an_event_that_an_observer_causes_reaches_nobody_who_was_dropped() -> None:
    told: list[Event] = []

    def causing(event: Event) -> None:
        if event is FIRST:
            audience.tell(SECOND)
            raise ValueError("after it")

    audience = Audience([causing, told.append])
    audience.tell(FIRST)
    assert [type(event) for event in told] == [Note, ObserverDropped, Note]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        Audience([None])  # type: ignore[list-item]
