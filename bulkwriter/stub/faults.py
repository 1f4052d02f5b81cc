"""Decides which request meets which fault; `fault_runner` then makes it happen on the wire.

Every kind of fault is one row of `KINDS`.  Its name ends in `_before` when the create is not applied and in `_after`
when it is although the client cannot know; kinds without such an ending answer truly, in an unusual way, or refuse.
A rule deals its kind to a `share` of the requests of one operation, by one draw a request from a generator of its own:
the same seed and the same order of admitted requests give the same faults, whatever the timing.  Throttled requests
take no part.  `skip` and `limit` place a fault exactly: {"kind": "rst_after", "skip": 4, "limit": 1} hits the fifth.

Pure: chance is an argument.  Nothing here knows a connection.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import UsageError
from .fields import check, header_text, knob, made_of, maybe, number, one_of, whole
from .request import RESOURCES

OPERATIONS = ("create", "list", "read", "delete", "token")


class FaultKind(NamedTuple):
    """`applies`: the request takes effect before the fault.  `delay_s` is the rule's default."""

    text: str
    applies: bool = False
    on: str = "create"
    delay_s: float = 0.0


_AFTER = True

# fmt: off
KINDS: Mapping[str, FaultKind] = {
    # the connection goes away
    "connect_fin":         FaultKind("closed as soon as it is accepted", on="connect"),
    "connect_rst":         FaultKind("reset as soon as it is accepted", on="connect"),
    "connect_silence":     FaultKind("accepted and never answered", on="connect"),
    "fin_mid_request":     FaultKind("closed after the head, before the body is read"),
    "rst_mid_request":     FaultKind("reset after the head, before the body is read"),
    "fin_before":          FaultKind("closed without a reply, not applied"),
    "rst_before":          FaultKind("reset without a reply, not applied"),
    "fin_after":           FaultKind("applied, then closed without a reply", _AFTER),
    "rst_after":           FaultKind("applied, then reset without a reply", _AFTER),
    "late_apply":          FaultKind("reset without a reply, and applied delay_s later", delay_s=0.5),
    "silence_before":      FaultKind("never answered, not applied"),
    "silence_after":       FaultKind("applied, never answered", _AFTER),
    "continue_fin_before": FaultKind("100 Continue, then closed, not applied"),
    "continue_fin_after":  FaultKind("applied; 100 Continue, then closed", _AFTER),
    # what comes back is not a whole, plain reply
    "garbage_before":      FaultKind("bytes that are not HTTP, not applied"),
    "garbage_after":       FaultKind("applied, then bytes that are not HTTP", _AFTER),
    "half_status_before":  FaultKind("half a status line, then closed, not applied"),
    "half_status_after":   FaultKind("applied; half a status line, then closed", _AFTER),
    "bad_length_after":    FaultKind("applied; the reply's Content-Length is no number", _AFTER),
    "cut_body_after":      FaultKind("applied; half the body that Content-Length says, then closed", _AFTER),
    "long_head_after":     FaultKind("applied; a header of size_bytes", _AFTER),
    "long_body_after":     FaultKind("applied; the body goes on with size_bytes of blanks", _AFTER),
    "gzip_after":          FaultKind("applied; the reply is gzip although identity was asked for", _AFTER),
    "gzip_bomb_after":     FaultKind("applied; gzip that unpacks to 1 GB", _AFTER),
    "empty_after":         FaultKind("applied; 200 with an empty body", _AFTER),
    "odd_after":           FaultKind("applied; 200 with JSON of another shape", _AFTER),
    # servers and what stands before them
    "500_before":          FaultKind("500 as the API words it, not applied"),
    "500_after":           FaultKind("applied, then 500 as the API words it", _AFTER),
    "502_before":          FaultKind("502 with HTML, not applied"),
    "502_after":           FaultKind("applied, then 502 with HTML", _AFTER),
    "503_before":          FaultKind("503 with HTML, not applied"),
    "503_after":           FaultKind("applied, then 503 with HTML", _AFTER),
    "504_before":          FaultKind("504 with HTML, not applied"),
    "504_after":           FaultKind("applied, then 504 with HTML", _AFTER),
    "503_wait_before":     FaultKind("503 with Retry-After (retry_after, else 1), not applied"),
    "503_wait_after":      FaultKind("applied, then 503 with Retry-After (retry_after, else 1)", _AFTER),
    "status_before":       FaultKind("any status, body and Retry-After of the rule, not applied"),
    "status_after":        FaultKind("applied, then any status, body and Retry-After of the rule", _AFTER),
    "unsuccessful":        FaultKind("200 with WasSuccessful false and Errors, not applied"),
    "expired_401":         FaultKind("401 as if the token expired (an issued one does), only to tokens good before"),
    "forbidden_403":       FaultKind("403 with HTML, as from a firewall, not applied"),
    "redirect_307":        FaultKind("307 to location, not applied"),
    # true replies in unusual form
    "slow":                FaultKind("answered delay_s later than else", delay_s=1.0),
    "slices":              FaultKind("sent byte by byte (long ones in 4,096 pieces)", _AFTER),
    "chunked":             FaultKind("Transfer-Encoding: chunked, in small chunks", _AFTER),
    "close_delimited":     FaultKind("HTTP/1.0: the body ends where the connection does", _AFTER),
    "continue_first":      FaultKind("100 Continue before the reply", _AFTER),
    "trailing":            FaultKind("more bytes right behind the reply", _AFTER),
    "unsolicited":         FaultKind("the reply again, delay_s later, on the idle connection", _AFTER, delay_s=0.02),
    "stray":               FaultKind("the reply again as the next request comes, its own later", _AFTER, delay_s=0.005),
    # lists
    "list_empty":          FaultKind("no records, though TotalItems counts them", on="list"),
    "list_short":          FaultKind("a third of the page's records are left out", on="list"),
    "list_miscount":       FaultKind("TotalItems is one too high", on="list"),
    "list_overlap":        FaultKind("the page's last record is left out and its first comes twice", on="list"),
}
# fmt: on
EARLY = frozenset({"fin_mid_request", "rst_mid_request"})
"""Dealt when a request's head is read; all others when it is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault of a scenario."""

    kind: str = knob(..., one_of(*KINDS), "one of the kinds below")
    share: float = knob(1.0, number(0, 1), "share of the operation's requests that meet it")
    on: str = knob(
        "",
        one_of("", *OPERATIONS, "connect", "any"),
        f"{' | '.join(OPERATIONS)} | any of these; default by kind, mostly create",
    )
    resource: str = knob(
        "",
        one_of("", *RESOURCES.values()),
        f"only requests for one kind of record: {', '.join(RESOURCES.values())}; empty: for any",
    )
    skip: int = knob(0, whole(0, 10**12), "so many requests of the operation, for one kind of record, pass first")
    limit: int | None = knob(None, maybe(whole(0, 10**12)), "dealt at most so often; null: no limit")
    delay_s: float | None = knob(None, maybe(number(0, 10**6)), "s, for kinds that name it; null: the kind's own")
    status: int = knob(500, whole(200, 999), "for status_before and status_after")
    body: str = knob("json", one_of("json", "html", "empty"), "for status_before and status_after")
    retry_after: str = knob("", header_text, "Retry-After as it is sent, for status_* and 503_wait_*; any text")
    location: str = knob("http://127.0.0.1:9/", header_text, "for redirect_307")
    size_bytes: int = knob(2 << 20, whole(1, 2**30), "for long_head_after and long_body_after")

    def __post_init__(self) -> None:
        check(self)
        kind = KINDS[self.kind]
        if not self.on:
            object.__setattr__(self, "on", kind.on)
        if self.delay_s is None:
            object.__setattr__(self, "delay_s", kind.delay_s)
        if (kind.on in ("connect", "list") or self.on == "connect") and self.on != kind.on:
            raise UsageError(f"a fault {self.kind!r} cannot be dealt on {self.on!r}", hint=f"its own is {kind.on!r}")

    @property
    def wait_s(self) -> float:
        assert self.delay_s is not None, "filled in when made"
        return self.delay_s


class Dealer:
    """Deals the faults of some rules; one draw a request, the rules side by side in [0, 1)."""

    def __init__(self, rules: Iterable[FaultRule], rng: random.Random) -> None:
        self._rng = rng
        self._slots: dict[tuple[str, str], list[_Slot]] = {}
        for rule in rules:
            for place in places_of(rule):
                slots = self._slots.setdefault(place, [])
                slots.append(_Slot(rule, (slots[-1].upper if slots else 0.0) + rule.share))
        self._seen = dict.fromkeys(self._slots, 0)
        self._left = {id(slot.rule): slot.rule.limit for slots in self._slots.values() for slot in slots}

    def deal(self, operation: str, resource: str) -> FaultRule | None:
        """The fault that this request meets, or None."""
        place = operation, resource
        slots = self._slots.get(place)
        if slots is None:
            return None
        self._seen[place] += 1
        draw = self._rng.random()
        for rule, upper in slots:
            if draw < upper:
                return rule if self._take(rule, self._seen[place]) else None
        return None

    def _take(self, rule: FaultRule, seen: int) -> bool:
        left = self._left[id(rule)]
        if seen <= rule.skip or left == 0:
            return False
        if left is not None:
            self._left[id(rule)] = left - 1
        return True


class _Slot(NamedTuple):
    rule: FaultRule
    upper: float


def read_rules(value: Any) -> tuple[FaultRule, ...]:
    """Rules from a list of them, or from {kind: share}; the shares of one operation must fit into 1.

    Rules with a `limit` or `skip` may overlap others' shares only within that sum, too: one draw decides.
    """
    if isinstance(value, Mapping):
        value = [{"kind": kind, "share": share} for kind, share in value.items()]
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is neither a list of faults nor a mapping of kinds to shares")
    read = made_of(FaultRule)
    rules: tuple[FaultRule, ...] = tuple(read(rule) for rule in value)
    for early in (False, True):
        _check_shares([rule for rule in rules if (rule.kind in EARLY) is early])
    return rules


def places_of(rule: FaultRule) -> list[tuple[str, str]]:
    """The operations and resources that a rule is for; connections and tokens are of no resource."""
    operations = OPERATIONS if rule.on == "any" else (rule.on,)
    resources = (rule.resource,) if rule.resource else tuple(RESOURCES.values())
    nowhere = () if rule.resource else ("",)
    return [
        (operation, resource)
        for operation in operations
        for resource in (nowhere if operation in ("connect", "token") else resources)
    ]


def _check_shares(rules: Sequence[FaultRule]) -> None:
    totals: dict[tuple[str, str], float] = {}
    for rule in rules:
        for place in places_of(rule):
            totals[place] = totals.get(place, 0.0) + rule.share
    for (operation, _), total in totals.items():
        if total > 1 + 1e-9:
            raise ValueError(f"the shares of faults on {operation!r} add up to {total:g}, more than 1")
