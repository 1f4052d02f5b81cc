"""The nouns: pairs, outcomes, replies, verdicts and counts, frozen and without behaviour of their own.

Every other module speaks in these words, and each has one meaning (`bulkwriter help words`).  The way of a pair
through them is:

    Pair  -> (one request on the wire) -> Reply  -> core.classify ->  Verdict  -> the engine ->  Outcome

A `Reply` says only what was seen on the wire, a `Verdict` only what that means, an `Outcome` only what became of the
pair.  Nothing here imports anything of ours, so that `core`, `net` and `store` can share it.

Where a value is made once a pair it is a tuple or a slotted object: a frozen dataclass costs about 0.5 µs more each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple

ID_MAX = 2**63 - 1
"""The largest id.  The API's ids are positive signed 64-bit numbers."""
BOM = b"\xef\xbb\xbf"
"""The byte order mark; some servers begin UTF-8 with it.  RFC 8259, 8.1: parsers of JSON "MAY ignore" it."""


class Pair(NamedTuple):
    """One pair of ids, 1 to 2^63-1: `lesson_id`; `member_id` is the enrolment (CourseMember), not the person."""

    lesson_id: int
    member_id: int


class State(IntEnum):
    """What is known of a pair.  The numbers are stored in journals and never change their meaning.

    `PENDING` read, not sent yet · `INTENT` may be sent at any moment: after a crash a doubt, and shown as one ·
    `IN_DOUBT` may have been applied, not known · `CREATED` this run made the record · `EXISTING` was there before ·
    `REJECTED` the server refuses it · `FAILED` attempts used up, surely not applied; the next start tries again ·
    `INVALID` the row is no pair · `DUPLICATE` the same pair as an earlier row
    """

    PENDING = 0
    INTENT = 1
    IN_DOUBT = 2
    CREATED = 3
    EXISTING = 4
    REJECTED = 5
    FAILED = 6
    INVALID = 7
    DUPLICATE = 8

    @property
    def word(self) -> str:
        """The state as people, JSON and `--state` name it."""
        return "in_doubt" if self is State.INTENT else self.name.lower()


SETTLED = frozenset({State.CREATED, State.EXISTING, State.REJECTED, State.INVALID, State.DUPLICATE})
"""States that a restart leaves alone."""


class FieldError(NamedTuple):
    """One entry of the API's `Errors`: its `property_name` and `message`.  Either may be empty, never both."""

    property_name: str
    message: str


class Outcome(NamedTuple):
    """What became of one pair, as the journal has it when this is delivered.

    `seq` is the 0-based place in the source (single writes count from `SINGLE_SEQ`; -1: `timeout` ended before the
    journal was asked).  `pair` is None for a bad row.  `state` says what became of it.  `record_id` is known or None.
    `attempts` counts requests with a byte written.  `http_status` is of the reply that told the state, else None.
    `errors` are the server's reasons, `message` one in words, also of ours.  `line` is 1-based, of the source, or None.
    """

    seq: int
    pair: Pair | None
    state: State
    record_id: int | None = None
    attempts: int = 0
    http_status: int | None = None
    errors: tuple[FieldError, ...] = ()
    message: str = ""
    line: int | None = None


SINGLE_SEQ = 1 << 40
"""First seq of pairs given to `BulkWriter.write` one by one: they never stand in the way of a source's own rows."""


class Fault(Enum):
    """How an exchange failed.  The value is the phrase shown to people."""

    REFUSED = "connection refused"
    UNREACHABLE = "cannot reach the host"
    NAME = "host name not found"
    CONNECT_TIMEOUT = "no connection in time"
    TLS = "no TLS connection"
    PROXY = "the proxy refused the tunnel"
    UNSENT = "the connection ended before a byte was written"
    LOST = "the connection ended before the reply"
    SILENT = "no reply in time"
    GARBLED = "the reply is not HTTP"
    CUT = "the reply ended early"
    OVERSIZED = "the reply is too long"
    ENCODED = "the reply is encoded though none was asked for"
    CANCELLED = "cancelled before the reply"
    SHIFTED = "the connection answered out of step"


FATAL_FAULTS: Final = {
    Fault.TLS: "check --base-url, --ca-file and this machine's clock",
    Fault.NAME: "check --base-url and --proxy, and that this machine can look up names",
    Fault.PROXY: "check --proxy, HTTPS_PROXY and NO_PROXY",
}
"""Failures that show a wrong setting: a certificate always, the others until the server has answered once."""


class Reply(NamedTuple):
    """What came back for one request: a whole reply, or the way it failed.

    If there is a `fault`, `status` is 0 and nothing of the reply may be believed.  `body` is bytes as received
    (identity encoding).  `retry_after` and `date` are the raw header values or None; where a create's `date` is that of
    the last reply of its lane, it may be None as well.  `detail` is for people, never a secret.  `age_s`: how long a
    cache had kept what has a `date`, by its own words; 0 if it says nothing.
    """

    status: int
    body: bytes = b""
    retry_after: str | None = None
    date: str | None = None
    fault: Fault | None = None
    detail: str = ""
    age_s: float = 0.0

    @property
    def trouble(self) -> str:
        """Why this is not the wanted answer: the fault with its detail, or the status."""
        what = self.fault.value if self.fault else f"HTTP {self.status}"
        return f"{what}: {self.detail}" if self.detail else what


class VerdictKind(Enum):
    """What a reply means for its pair."""

    CREATED = "created"
    REJECTED = "rejected"
    IN_DOUBT = "in doubt"
    UNSENT = "unsent"  # surely not applied, and nobody's fault: try again
    THROTTLED = "throttled"  # surely not applied; everyone slows down
    UNAUTHORIZED = "unauthorized"  # 401 on the current token: refresh once, then stop
    STOP = "stop"  # a wrong setting: no other pair can fare better


class Verdict(NamedTuple):
    """The meaning of one reply.

    `retry_after_s` is the stated wait, or None.  `is_slow_down`: the whole run should pause, whatever the fate of the
    pair (a throttle, or a 503 with Retry-After).  `is_busy`: the reply may be a throttle in other words.
    """

    kind: VerdictKind
    record_id: int = 0
    errors: tuple[FieldError, ...] = ()
    message: str = ""
    retry_after_s: float | None = None
    is_slow_down: bool = False
    is_busy: bool = False


class CallKind(Enum):
    """What a reply means for a call that may be made again: a list, a read, a delete, a token."""

    ANSWERED = "answered"  # 2xx: what the body says is for the caller to read
    REFUSED = "refused"  # by the API itself
    THROTTLED = "throttled"
    AGAIN = "again"
    UNAUTHORIZED = "unauthorized"  # 401: refresh the token once, then stop
    STOP = "stop"


class CallVerdict(NamedTuple):
    """The meaning of one reply to a call.

    `retry_after_s` is the wait that any reply stated.  `is_later`: it says "later" rather than "no".  `is_forbidden`:
    the stop is about the caller's rights, not about the address.
    """

    kind: CallKind
    message: str = ""
    retry_after_s: float | None = None
    is_slow_down: bool = False
    is_later: bool = False
    is_forbidden: bool = False


class Intent(NamedTuple):
    """A pair on its way: in the ready queue, or carried by a lane.

    `attempts` counts those already made.  `floor` is the highest record id known to be on the server before the intent
    was committed, or None where none was known: a record of this pair with a higher id was made by this run.
    """

    seq: int
    pair: tuple[int, int]
    attempts: int
    line: int | None
    floor: int | None


class QuotaWindow(NamedTuple):
    """A quota of a server: at most `count` requests of `kind` ("write", "read", "any") in a window of time.

    With `day_at_s` None the window slides: any span of `window_s` counts.  Else the windows are days that begin
    `day_at_s` seconds after midnight UTC.  `text` is how people write the quota, such as "write:2500/day".
    """

    text: str
    kind: str
    count: int  # type: ignore[assignment]  # in place of `tuple.count`
    window_s: float
    day_at_s: float | None = None


def column_key(name: str) -> str:
    """A column's name as it is compared: case, white space, underscores and hyphens do not count."""
    return "".join(name.split()).replace("_", "").replace("-", "").casefold() or name


class BadRow(NamedTuple):
    """A row of a source that is no pair: the reason in words, and the row's text as read, cut to 500 characters.

    `kind` is the reason without the values of this row, so that rows can be counted by it.  It is "" where the reason
    holds no values.
    """

    reason: str
    raw: str
    kind: str = ""


class Batch(NamedTuple):
    """Consecutive records of a source, by column: an object for each row would cost more than reading it.

    `pairs[i]` is (lesson_id, member_id), or None where the row is bad and `bad[i]` says why.  `lines[i]` is the 1-based
    line on which record i starts; for iterables, its 1-based position.
    """

    pairs: list[tuple[int, int] | None]
    lines: Sequence[int]
    bad: Mapping[int, BadRow]


class Counts(NamedTuple):
    """Pairs by state; `pairs`, the rows read, is always their sum.

    `created` and `existing` pairs are on the server; `rejected`, `invalid` and `duplicates` have no record.  The next
    start tries `failed` pairs again, looks up those `in_doubt`, and sends those `pending`.
    """

    created: int = 0
    existing: int = 0
    rejected: int = 0
    failed: int = 0
    in_doubt: int = 0
    pending: int = 0
    invalid: int = 0
    duplicates: int = 0

    @property
    def pairs(self) -> int:
        """Rows read: the sum of all states."""
        return (
            self.created + self.existing + self.rejected + self.failed
            + self.in_doubt + self.pending + self.invalid + self.duplicates
        )  # fmt: skip

    @classmethod
    def of(cls, by_state: Mapping[State, int]) -> Counts:
        """Counts from rows by state; intents are doubts until their outcome is known."""
        get = by_state.get
        return cls(
            created=get(State.CREATED, 0), existing=get(State.EXISTING, 0), rejected=get(State.REJECTED, 0),
            failed=get(State.FAILED, 0), in_doubt=get(State.IN_DOUBT, 0) + get(State.INTENT, 0),
            pending=get(State.PENDING, 0), invalid=get(State.INVALID, 0), duplicates=get(State.DUPLICATE, 0),
        )  # fmt: skip

    @classmethod
    def sum_of(cls, each: Iterable[Counts]) -> Counts:
        """The counts of several journals together."""
        return cls(*map(sum, zip(*each, strict=True)))

    def to_json(self) -> dict[str, int]:
        """The counts by the names of `--json`, with `pairs`."""
        return {"pairs": self.pairs, **self._asdict()}


class Reason(NamedTuple):
    """Why `count` pairs were not written: the reason that they share, and one of them as an example with its place.

    Both texts can be shown on a terminal as they are.
    """

    reason: str
    count: int  # type: ignore[assignment]  # in place of `tuple.count`
    example: str


Reasons = Mapping[str, tuple[Reason, ...]]
"""Reasons by state ("rejected", "invalid", "failed"), most frequent first."""
HAVE_REASONS = ("rejected", "invalid", "failed")
"""The states that have reasons, in the order in which they are told."""


def reasons_json(reasons: Reasons) -> dict[str, list[dict[str, str | int]]]:
    """Reasons as `--json` has them: a list for each state that can have some."""
    return {state: [reason._asdict() for reason in reasons.get(state, ())] for state in HAVE_REASONS}


class Rows(NamedTuple):
    """How many rows a source has, and how many of them the journal holds (`read`).

    `total` is None where it is not known.  It is exact once the source was read to its end; before that it is estimated
    from the share of the bytes that was read.  Pairs given one by one do not count.
    """

    total: int | None = None
    is_exact: bool = False
    read: int = 0

    @classmethod
    def known(cls, total: int | None, *, is_exact: bool, read: int) -> Rows:
        """The rows of a source as noted earlier, together with the rows that the journal holds by now."""
        if total is None or total >= read:
            return cls(total, is_exact and total is not None, read)
        return cls(read, False, read)

    @property
    def not_read(self) -> int | None:
        """Rows that no start has read yet; None where the total is not known."""
        return None if self.total is None else max(0, self.total - self.read)

    def to_json(self) -> dict[str, int | bool | None]:
        is_exact = None if self.total is None else self.is_exact
        return {"rows_total": self.total, "rows_total_exact": is_exact, "not_read": self.not_read}


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a start ended: `code` for programs, `reason` in words for people, and the exit code.

    `resume_at` (epoch seconds) is when going on makes sense, or None where that is not known.  It is rounded up to a
    whole second when the value is made, so that journal and summary say the same.  `is_theirs` is True where the server
    named that time, and False where it is the end of our own quota's window.
    """

    code: str
    reason: str
    exit_code: int = 0
    resume_at: float | None = None
    is_theirs: bool = False

    def __post_init__(self) -> None:
        if self.resume_at is not None:
            object.__setattr__(self, "resume_at", whole_second(self.resume_at))


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run stands.  `counts` covers all starts of the run; the other figures are those of this process.

    `attempts` counts requests with at least one byte written, `throttled` those that the server throttled, `settled`
    the pairs settled, and `creates` the records made.  `elapsed_s` is since the writer was opened.  `journal` is its
    path, or None.  `reasons` say why pairs were rejected, invalid or failed, as far as this process heard.
    `rows` says how many rows the source has and how many were not read yet.  `exit_code` is one of the codes that
    `bulkwriter help exit-codes` lists.  `ended` says why this start ended; it is None while the start goes on.
    `under_way` counts pairs that this process sends or is about to send; `counts` has them as `pending`.
    """

    counts: Counts
    attempts: int = 0
    throttled: int = 0
    elapsed_s: float = 0.0
    journal: str | None = None
    exit_code: int = 0
    settled: int = 0
    creates: int = 0
    rows: Rows = field(default_factory=Rows)
    ended: Ended | None = None
    under_way: int = 0
    reasons: Reasons = field(default_factory=dict)

    @property
    def pairs_per_s(self) -> float:
        """Pairs settled a second.  Pairs that existed before count as well."""
        return self.settled / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def creates_per_s(self) -> float:
        """Records made a second."""
        return self.creates / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def reason(self) -> str:
        """Why this start ended, in words; "" while it goes on."""
        return self.ended.reason if self.ended else ""

    def abandoned(self) -> Summary:
        """The summary if this process ended now: pairs `under_way` count as in doubt."""
        counts = self.counts
        left = counts._replace(pending=counts.pending - self.under_way, in_doubt=counts.in_doubt + self.under_way)
        return replace(self, counts=left, under_way=0)

    def to_json(self) -> dict[str, Any]:
        """The object that `run --json` prints (`bulkwriter help json`)."""
        ended = self.ended
        return {
            **self.counts.to_json(),
            "reasons": reasons_json(self.reasons),
            **self.rows.to_json(),
            **{f"ended_{name}": getattr(ended, name, None) for name in ("reason", "code")},
            "resume_at": iso(ended.resume_at) if ended else None,
            "attempts": self.attempts,
            "throttled": self.throttled,
            "elapsed_s": round(self.elapsed_s, 3),
            "pairs_per_s": round(self.pairs_per_s, 1),
            "journal": self.journal,
            "exit_code": self.exit_code,
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run stands at this moment, for progress lines.

    `in_flight` requests are under way, and `in_flight_limit` may be.  `attempts` and `throttled` are as in `Summary`.
    `rate_per_s` is the records made a second, lately.  `eta_s` is how much longer the run takes, or None.
    `elapsed_s` is since the writer was opened.  `counts`, `done`, `total` and `not_read` cover the whole run; the
    other figures are those of this process.  `done` counts settled rows.  `total` is None while unknown;
    `is_total_exact` is False for an estimate from the bytes read.  `not_read` counts rows that no start has read.
    `latency_s` holds quantiles, such as {0.5: 0.02, 0.99: 0.1}.  `held_by` names the bottleneck in words, `held_kind`
    in one or two; `holds_until_s` says for how many more seconds it lasts, or None.  `believes` says which
    throttles the server answered, and what the run does since.  `reasons` are the most frequent reasons why pairs were
    not written.
    """

    counts: Counts
    done: int
    total: int | None
    is_total_exact: bool
    in_flight: int
    in_flight_limit: int
    attempts: int
    throttled: int
    rate_per_s: float
    elapsed_s: float
    eta_s: float | None
    latency_s: Mapping[float, float] = field(default_factory=dict)
    held_kind: str = ""
    held_by: str = ""
    holds_until_s: float | None = None
    believes: str = ""
    reasons: Reasons = field(default_factory=dict)
    not_read: int | None = None


CLOCK_NOISE_S: Final = 0.01
"""An instant that was converted from one clock to another may be late by so much."""


def whole_second(wall: float) -> int:
    """Epoch seconds rounded up to a second.  Every moment is told like this, so that nobody comes back too early.

    A whole second stays as it is.
    """
    return math.ceil(wall - CLOCK_NOISE_S)


def iso(wall: float | None) -> str | None:
    """Epoch seconds as ISO 8601 in UTC, to the `whole_second`."""
    return None if wall is None else datetime.fromtimestamp(whole_second(wall), UTC).isoformat()


def moment(wall: float) -> str:
    """Local time to the minute, rounded up: "2026-11-12 08:15 CET".  A moment and its `whole_second` give the same
    text.
    """
    return began(whole_second(wall) + 59)


def began(wall: float) -> str:
    """Local time to the minute, rounded down: when something began, or until when it is good."""
    at = datetime.fromtimestamp(wall, UTC).astimezone()
    return at.strftime("%Y-%m-%d %H:%M %Z").rstrip()
