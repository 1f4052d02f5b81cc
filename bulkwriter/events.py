"""What an observer is told: frozen events of a run, for logs and metrics.

An observer is any callable that takes one event.  It is called on the event loop, between two replies, so it must
return at once; what it raises ends the run.  Events are rare (throttles, pauses, doubts, stops), never one a pair: for
pairs use `BulkWriter.stream`.  Nothing in an event is secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttled:
    """The server said "too fast".  Nobody sends for `pause_s`; `retry_after_s` is what it asked for, or None."""

    pause_s: float
    retry_after_s: float | None
    in_flight_limit: int


@dataclass(frozen=True, slots=True)
class ConnectionTrouble:
    """Nothing but lost connections or doubts came lately.  One lane alone tries again after `pause_s`.

    It has been so for `gone_s`; if nothing good comes for `gives_up_s` more, the run gives up (None: it does not).
    """

    pause_s: float
    reason: str
    gone_s: float = 0.0
    gives_up_s: float | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """A good reply after `ConnectionTrouble`."""

    gone_s: float


@dataclass(frozen=True, slots=True)
class DoubtsParked:
    """`count` pairs became doubts together, for example at once after a lost connection or a resumed crash."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class DoubtsSettled:
    """A look settled doubts: `found` were applied, `absent` were not.

    Those are sent again, but for `released` of them, of which no attempt is known: an earlier start was about to send
    them when it ended, and now they are sent.
    """

    found: int
    absent: int
    released: int = 0


@dataclass(frozen=True, slots=True)
class LookFailed:
    """A list call did not answer usably, so it settles nothing; it is made again after `pause_s`."""

    reason: str
    pause_s: float


@dataclass(frozen=True, slots=True)
class LaneShifted:
    """A connection answered out of step: all `pairs` that it settled since it opened are in doubt again."""

    pairs: int


@dataclass(frozen=True, slots=True)
class TokenRefreshed:
    """A new token is in use."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """No new attempts from here on; those in flight may end.  `reason` is a sentence for people, `hint` what to do.

    `is_error`: the run ends with an error of these words; else it was asked to end.
    """

    reason: str
    hint: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know and need not act on."""

    text: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Something else holds the run back now: `by` is its kind ("limit", "quota", "ceiling", "in flight", "cpu", …),
    `words` says it, `more_s` for how much longer, where that is known.  `believes` is what the server is held to allow.
    """

    by: str
    words: str
    more_s: float | None
    believes: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """An earlier run of this account found that the server allows `rate_per_s`; this one starts at half of it."""

    rate_per_s: float
    age_s: float


@dataclass(frozen=True, slots=True)
class NotRemembered:
    """What is learnt of the server could not be read, or not be kept; the run goes on as well without."""

    reason: str


Event = (
    HeldBack | Throttled | ConnectionTrouble | Recovered | DoubtsParked | DoubtsSettled | LookFailed | LaneShifted
    | TokenRefreshed | Remembered | NotRemembered | Stopping | Note
)  # fmt: skip
Observer = Callable[[Event], None]
