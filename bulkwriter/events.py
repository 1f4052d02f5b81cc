"""The events that an observer gets: named tuples about a run, for logs and metrics.

An observer is any callable that takes one event.  It is called on the event loop, between two replies, so it must
return at once.  An observer that raises is dropped: it gets no further event, the others and the log are told once
(`ObserverDropped`), and nothing else happens.

An observer with a true attribute `wants_metrics` asks for numbers.  The writer then counts more than it needs itself,
and `Opened` brings the function that returns its `Metrics`.

Events are rare: throttles, pauses, doubts, stops.  There is no event for each pair; for pairs use `BulkWriter.stream`.
Tell events apart by their types: two kinds with the same values are equal.  No event holds a secret.  Durations are
seconds, rates are requests a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from .metrics import Metrics


class Throttled(NamedTuple):
    """The server refused a request as too fast (409, 429), and surely did not take it.  None is sent for `pause_s`.

    `retry_after_s` is the wait that the server asked for, or None where it named none.  `in_flight_limit` is how many
    requests may be under way at once from now on.
    """

    pause_s: float
    retry_after_s: float | None
    in_flight_limit: int


class ServerBusy(NamedTuple):
    """The server said that it is busy (503), so the run slows down as if throttled.  The pair may have been taken.

    It does not count as throttled.  `pause_s`, `retry_after_s` and `in_flight_limit` are as in `Throttled`.
    """

    pause_s: float
    retry_after_s: float | None
    in_flight_limit: int


class ConnectionTrouble(NamedTuple):
    """The last requests all ended in lost connections or doubts, the last one for this `reason`.

    One lane alone tries again after `pause_s`.
    `gone_s` is how long this has lasted.  The run gives up after `gives_up_s` more without a good reply; None means
    that it does not give up.
    """

    pause_s: float
    reason: str
    gone_s: float = 0.0
    gives_up_s: float | None = None


class Recovered(NamedTuple):
    """A good reply came, for the first time since `ConnectionTrouble`.  `gone_s` is how long there was none."""

    gone_s: float


class DoubtsParked(NamedTuple):
    """`count` pairs came to be in doubt together, for this `reason`: a lost connection, or a journal that is opened."""

    count: int  # type: ignore[assignment]  # in place of `tuple.count`
    reason: str


class DoubtsSettled(NamedTuple):
    """A look settled doubts: `found` pairs were applied, `absent` pairs were not.

    Absent pairs are sent.  For `released` of them this is the first attempt that is known: an earlier start ended when
    it was about to send them.
    """

    found: int
    absent: int
    released: int = 0


class LookFailed(NamedTuple):
    """A list call failed for this `reason`, so it settles nothing.  It is made again after `pause_s`."""

    reason: str
    pause_s: float


class LaneShifted(NamedTuple):
    """A connection answered out of step.  All `pairs` that it settled since it opened are in doubt again."""

    pairs: int


class TokenRefreshed(NamedTuple):
    """A new token is in use."""


class Stopping(NamedTuple):
    """The run begins no new attempt; those in flight may end.

    `reason` is a sentence for people, `hint` says what to do next.  `is_error` is True where the run ends with this
    error, and False where a caller or a signal asked it to end.  `is_source`: the source alone ends with this error;
    other calls of the writer go on, now or once it is well again.  `code` is that of the error that ends the run.
    """

    reason: str
    hint: str = ""
    is_error: bool = False
    is_source: bool = False
    code: str = ""


class Unwell(NamedTuple):
    """The writer cannot send for this `reason`; `hint` says what to do.  One request tries again after `tries_s`.

    While a source is being taken, `Stopping` is told in its place; unless `tries_s` is None: no request can change it,
    and it passes by itself.
    """

    reason: str
    hint: str
    tries_s: float | None


class Well(NamedTuple):
    """The writer can send again, after `unwell_s`."""

    unwell_s: float


class SameRejections(NamedTuple):
    """The last `count` pairs given one by one were all rejected with the same words, `reason`.

    Nothing stops: they may be of one caller among many.
    """

    count: int  # type: ignore[assignment]  # in place of `tuple.count`
    reason: str


class Unreadable(NamedTuple):
    """No reply of a while could be read, says `reason`, though lists show what was written.  `hint` says what to do."""

    reason: str
    hint: str


class Note(NamedTuple):
    """A sentence, `text`, that a person should know; nothing needs to be done."""

    text: str


class HeldBack(NamedTuple):
    """The run has another bottleneck from now on.

    `by` is its kind ("limit", "quota", "ceiling", "in flight", "cpu", …), `words` describes it.  `more_s` says for how
    much longer it holds the run back, or None where that is not known.  `believes` says which
    throttles the server answered, and what the run does since.
    """

    by: str
    words: str
    more_s: float | None
    believes: str


class Remembered(NamedTuple):
    """An earlier run of this account, `age_s` ago, ended at a pace of `rate_per_s`; this starts at half."""

    rate_per_s: float
    age_s: float


class NotRemembered(NamedTuple):
    """The rate that earlier runs learned could not be read, or this one not kept, for this `reason`.

    The run goes on without.
    """

    reason: str


class ObserverDropped(NamedTuple):
    """An observer raised, so it gets no further event.  `observer` is its type or name, `error` what it raised."""

    observer: str
    error: str


class Opened(NamedTuple):
    """The writer is open, for the server at `base_url`, with the file `journal`, or None.

    `metrics` returns its numbers at any time, from any thread, and after the writer has ended those of its end.  It is
    None if no observer asked for numbers.
    """

    base_url: str
    journal: str | None
    metrics: Callable[[], Metrics] | None = None


class ChunkReady(NamedTuple):
    """The intents of `rows` pairs are durable, so these pairs may be sent.  `first_seq` is the first of them.

    A chunk is what about the next second can send: from one pair to some thousands.
    """

    first_seq: int
    rows: int


class Sampled(NamedTuple):
    """Some of the latest durations: of requests, and of waits from a durable intent to its request.

    It comes at most 4 times a second, with at most 5 each in `latencies_s` and `waits_s`, and only if an observer asked
    for numbers.
    """

    latencies_s: tuple[float, ...]
    waits_s: tuple[float, ...]


class Closed(NamedTuple):
    """The writer has ended, and all that is known is durable.  `reason` is a sentence, `exit_code` the run's code."""

    reason: str
    exit_code: int


Event = (
    HeldBack | Throttled | ServerBusy | ConnectionTrouble | Recovered | DoubtsParked | DoubtsSettled | LookFailed
    | LaneShifted | TokenRefreshed | Remembered | NotRemembered | Stopping | Unwell | Well | SameRejections | Note
    | Unreadable | ObserverDropped | Opened | ChunkReady | Sampled | Closed
)  # fmt: skip
Observer = Callable[[Event], None]
"""Takes one event, and returns at once.  One that raises is dropped.  See `wants_metrics` above."""


class SharedObserver(Protocol):
    """An observer that may be given to several writers, at once or one after another."""

    def for_writer(self) -> Observer:
        """The observer of one writer.  Each writer asks for one when it is made."""
