"""Reads `--quota` into windows, and says which of them concern a request.

    write:60/min            60 POST, PUT and DELETE in any minute
    read:5000/hour          GET; `any` counts both
    any:1/100ms             ms, s, min, hour, day, each also with a number before it: 10s, 2h, 7day
    write:2500/day@00:00+00:00   in each day that begins at this time in this zone, instead of in any 24 hours
    nexudus                 the documented limits of the API; the default for every host but loopback
    none                    no quota; the default on loopback

A given quota replaces the default.  If `nexudus` is named beside it, the quota replaces that profile's window of the
same kind and length, or is added to it.  `--quota-share` leaves room for other clients: counts are cut to that share.

Windows of up to a minute are *short*, paced evenly (`quota.short`); longer ones are spent at full pace and counted by
the minute (`quota.forecast`).  `SLACK` makes every window a little longer than it says, because the server's clock runs
a little faster or slower than ours.  Pure: no counting, no waiting.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

from ..errors import UsageError
from ..model import QuotaWindow

NEXUDUS: Final = (
    "write:60/min", "write:2500/day", "any:1/100ms", "any:120/min", "any:5000/hour", "any:200000/day",
)  # fmt: skip
"""The documented limits.  Of the two daily numbers that are documented, 2,500 and 5,000, the lower one."""

WRITE: Final = "write"
READ: Final = "read"
ANY: Final = "any"
SHORT_S: Final = 60.0
LONGEST_S: Final = 31 * 86_400.0  # the longest window.  The spending is kept by the minute for so long.
SLACK: Final = 2e-4
"""Share by which windows are longer than they say: 0.2 ms in a second, 17 s in a day.  Clocks that keep time by NTP are
off by a tenth of that; more would waste quota, less would trust a bad crystal."""

UNITS: Final = {
    "ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3_600.0, "hour": 3_600.0, "d": 86_400.0, "day": 86_400.0,
}  # fmt: skip
EXAMPLE: Final = (
    "a quota is like write:60/min, any:1/100ms or write:2500/day@00:00+00:00; nexudus and none are profiles"
)
_SPEC: Final = re.compile(r"([a-z]+):([0-9][0-9_,]{0,15})/([0-9]{0,9})([a-z]+)(?:@(.+))?")
_DAY_AT: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?:(z)|([+-])([01][0-9]):?([0-5][0-9]))?")


def windows_of(specs: Sequence[str], *, is_loopback: bool, share: float = 1.0) -> tuple[QuotaWindow, ...]:
    """The windows that `--quota` asks for; none if nothing is counted.  Raises `UsageError`."""
    words = [spec.strip().lower() for spec in specs if spec.strip()]
    if not words:
        words = ["none" if is_loopback else "nexudus"]
    if "none" in words:
        if len(set(words)) > 1:
            raise UsageError("quota none goes with no other", hint=EXAMPLE)
        return ()
    own = [parse(word) for word in dict.fromkeys(words) if word != "nexudus"]
    replaced = {(window.kind, window.window_s) for window in own}
    profile = [parse(word) for word in NEXUDUS] if "nexudus" in words else []
    kept = [window for window in profile if (window.kind, window.window_s) not in replaced]
    return tuple(shared(window, share) for window in (*kept, *own))


def parse(spec: str) -> QuotaWindow:
    """One window from its text.  Raises a `UsageError` that names the fault and the nearest right word."""

    def wrong(words: str) -> UsageError:
        return UsageError(f"quota {spec!r}{words}", hint=EXAMPLE)

    found = _SPEC.fullmatch(spec)
    if not found:
        raise wrong(" is not a quota" + nearest(spec, ("nexudus", "none")))
    kind, count, number, unit, day_at = found.groups()
    if kind not in (WRITE, READ, ANY):
        raise wrong(f": {kind!r} is not write, read or any" + nearest(kind, (WRITE, READ, ANY)))
    unit_s = UNITS.get(unit) or UNITS.get(unit.removesuffix("s"))
    if unit_s is None:
        raise wrong(f": {unit!r} is not ms, s, min, hour or day" + nearest(unit, UNITS))
    most, window_s = int(count.replace("_", "").replace(",", "")), unit_s * int(number or 1)
    if not 1 <= most <= 10**9 or not 1e-3 <= window_s <= LONGEST_S:
        raise wrong(": a count from 1 to 1,000,000,000 in a time from 1 ms to 31 days")
    if day_at is not None and window_s != UNITS["day"]:
        raise wrong(": only a day can begin @ a time")
    return QuotaWindow(spec, kind, most, window_s, None if day_at is None else day_start(spec, day_at))


def day_start(spec: str, day_at: str) -> float:
    """Seconds after midnight UTC at which the day `HH:MM[±HH:MM]` begins; first value: "01:00+02:00" is 82,800."""
    found = _DAY_AT.fullmatch(day_at)
    if not found:
        raise UsageError(f"quota {spec!r}: {day_at!r} is not like 00:00+00:00", hint=EXAMPLE)
    hour, minute, _, sign, zone_hour, zone_minute = found.groups()
    east_s = (int(zone_hour) * 3_600 + int(zone_minute) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return float((int(hour) * 3_600 + int(minute) * 60 - east_s) % 86_400)


def shared(window: QuotaWindow, share: float) -> QuotaWindow:
    """The part of a window that we may use."""
    if share >= 1.0:
        return window
    count = math.floor(window.count * share + 1e-9)
    if count:
        return window._replace(count=count)
    if window.day_at_s is not None:
        raise UsageError(
            f"a share of {share:g} of {window.text} is less than one request", hint="a larger --quota-share"
        )
    window_s = window.window_s / (share * window.count)  # stretched until one request is the whole share of it
    if window_s > LONGEST_S:
        raise UsageError(
            f"so small a share of {window.text} is less than one request in 31 days", hint="a larger --quota-share"
        )
    return window._replace(count=1, window_s=window_s)


def concerned(windows: Iterable[QuotaWindow], kind: str) -> tuple[QuotaWindow, ...]:
    """Those windows that a request of `kind`, write or read, counts in."""
    return tuple(window for window in windows if window.kind in (kind, ANY))


def is_short(window: QuotaWindow) -> bool:
    """Whether it is paced; else it is counted by the minute."""
    return window.window_s <= SHORT_S and window.day_at_s is None


def long_of(windows: Iterable[QuotaWindow]) -> list[QuotaWindow]:
    """The windows that writes count in and that are counted by the minute."""
    return [window for window in concerned(windows, WRITE) if not is_short(window)]


def pace_of(windows: Iterable[QuotaWindow]) -> float:
    """Writes a second that the short windows allow; infinity where there are none."""
    short = [window for window in concerned(windows, WRITE) if is_short(window)]
    return min((window.count / (window.window_s * (1 + SLACK)) for window in short), default=math.inf)


def tightest(windows: Iterable[QuotaWindow]) -> list[QuotaWindow]:
    """The short windows; of several of one kind and length the one with the lowest count."""
    found: dict[tuple[str, float], QuotaWindow] = {}
    for window in sorted((window for window in windows if is_short(window)), key=lambda window: -window.count):
        found[window.kind, window.window_s] = window
    return list(found.values())


def nearest(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
