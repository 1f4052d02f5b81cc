"""What the stub is told to be: one frozen object, from a JSON or TOML file, a mapping, or Python.

Every field is documented by its own `knob`, and `bulkwriter help stub` prints them all.  An empty scenario is a server
that knows the token "stub-token", answers at once, and fails never.  Unknown keys are refused with the nearest known
one: a misspelt fault would otherwise never happen, and the test that relies on it would prove nothing.

Everything random (which request meets a fault, latencies, phases, which pairs exist, issued tokens) is drawn from
generators seeded with `seed`, one for each purpose, so that adding a fault does not change the latencies.
"""

# ruff: noqa: E501, RUF009  # one line a field reads as a table; knob() is dataclasses.field()

from __future__ import annotations

import dataclasses
import json
import random
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import UsageError
from ..model import ID_MAX
from .faults import FaultRule, read_rules
from .fields import Ranges, build, check, flag, knob, made_of, many, maybe, number, one_of, ranges, whole
from .limits import LimitRule
from .people import People
from .tokens import DEFAULT_TOKEN, ROLES, User, read_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Existing records as a share of all pairs of some lessons and some members."""

    lessons: Ranges = knob(..., ranges, "ids and 'first-last' spans, or n for 1 to n")
    members: Ranges = knob(..., ranges, "the same")
    share: float = knob(
        1.0, number(0, 1), "exactly this share of the pairs, drawn from the seed, in random order unless 1"
    )

    def __post_init__(self) -> None:
        check(self)

    def pairs(self, rng: random.Random) -> Iterator[tuple[int, int]]:
        lessons, members = list(each_id(self.lessons)), list(each_id(self.members))
        total = len(lessons) * len(members)
        places: Iterable[int] = range(total)
        if self.share < 1:
            places = rng.sample(range(total), round(total * self.share))
        for place in places:
            yield lessons[place // len(members)], members[place % len(members)]


def each_id(spans: Ranges) -> Iterator[int]:
    for low, high in spans:
        yield from range(low, high + 1)


def read_existing(value: Any) -> Grid | tuple[tuple[int, int], ...]:
    """A list of [lesson, member] pairs, or a grid."""
    if isinstance(value, Mapping | Grid):
        grid: Grid = made_of(Grid)(value)
        return grid
    pair = many(whole(1, ID_MAX))
    pairs: tuple[tuple[int, int], ...] = many(pair)(value)
    if any(len(p) != 2 for p in pairs):
        raise ValueError("existing holds something that is not a [lesson, member] pair")
    return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The stub's behaviour.  Durations are seconds."""

    # fmt: off
    seed: int = knob(0, whole(0, 2**63), "every random choice follows from it")

    tokens: Mapping[str, tuple[str, ...]] = knob((DEFAULT_TOKEN,), read_tokens, f"static tokens and their roles, of {', '.join(ROLES)}, or one of these for one kind of record: Coworker-List; a bare list gives all")
    users: tuple[User, ...] = knob((User(),), many(made_of(User)), "who may sign in at /api/token")
    token_life_s: float = knob(604_799.0, number(0.001, 10**9), "s: life of an issued access token")
    refresh_life_s: float = knob(1_296_000.0, number(0.001, 10**9), "s: life of a refresh token")

    first_id: int = knob(1, whole(1, 2**62), "id of the first record; the next ones follow one by one")
    existing: Grid | tuple[tuple[int, int], ...] = knob((), read_existing, "records there at start: [lesson, member] pairs, or {lessons, members, share}")
    known_lessons: Ranges | None = knob(None, maybe(ranges), "a create with another lesson is refused with 400; null: all are known")
    known_members: Ranges | None = knob(None, maybe(ranges), "the same for members")
    unique: str = knob("no", one_of("no", "400", "409", "200"), "refuse a pair that is there already, with this status and an Errors body; 200: answer with its id")
    status_in_rejections: bool = knob(False, flag, "400 envelopes say \"Status\": 500, as by older pages")

    people: People | None = knob(None, maybe(made_of(People)), "made-up coworkers, courses, lessons and enrolments, see People; null: these paths are 404")

    page_size_max: int = knob(1_000, whole(1, 10**6), "a larger size is capped without a word")
    list_lag_s: float = knob(0.0, number(0, 10**6), "s: younger records are not listed yet")
    text_filter: str = knob("contains", one_of("contains", "exact"), "how filters by title, name, company and team compare")
    zone_offset_s: float = knob(0.0, number(-50_400, 50_400), "s east of UTC in which from_ and to_ are read")
    clock_skew_s: float = knob(0.0, number(-10**6, 10**6), "s by which Date and dates in Retry-After are wrong")

    latency_s: float = knob(0.0, number(0, 10**6), "s: median time to serve a request; it is applied at the end of it")
    latency_sigma: float = knob(0.0, number(0, 5), "spread of log-normal latency; 0: always latency_s")
    servers: int = knob(0, whole(0, 10**6), "requests wait in a queue for so many servers; 0: no queue")
    throttle_latency_s: float = knob(0.0, number(0, 10**6), "s until a throttle is answered")
    limits: tuple[LimitRule, ...] = knob((), many(made_of(LimitRule)), "when requests are throttled, see Limits")

    faults: tuple[FaultRule, ...] = knob((), read_rules, "a list of faults, see Faults; or {kind: share}")
    keep_alive_s: float = knob(75.0, number(0, 10**6), "s after which an idle connection is closed; 0: never")
    max_requests: int = knob(0, whole(0, 10**9), "requests a connection may make; 0: any number")
    watch_windows_s: tuple[float, ...] = knob((), many(number(0.001, 10**6)), "more windows whose worst count of POSTs the truth tells")
    # fmt: on

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """A scenario from plain values; `UsageError` says what is wrong with them."""
        return build(cls, raw)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A scenario from a .json or .toml file; `UsageError` when it cannot be read or is wrong."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            raw = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
        except (OSError, ValueError) as e:
            raise UsageError(f"scenario {path}: {e}", hint="bulkwriter help stub shows an example") from None
        try:
            return cls.from_mapping(raw)
        except UsageError as e:
            raise UsageError(f"scenario {path}: {e.message}", hint=e.hint) from None

    def but(self, **changes: Any) -> Self:
        """The same scenario with some fields changed."""
        return dataclasses.replace(self, **changes)

    def rng(self, purpose: str) -> random.Random:
        """A generator of its own for each purpose."""
        return random.Random(f"{self.seed}:{purpose}")  # noqa: S311  # chance that can be replayed is the point

    def existing_pairs(self) -> Iterable[tuple[int, int]]:
        return self.existing.pairs(self.rng("existing")) if isinstance(self.existing, Grid) else self.existing
