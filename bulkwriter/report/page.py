"""The page of a run: what there is, how it went, what is left, from facts and history.

`facts` are those of `status --json`; so every number of the page that both have is the same.  What only the history
knows (rates, attempts, causes, days, starts, how doubts were settled) is as of its last row, and the page says so.

A private page leaves ids only: no name of a file or host, no account, and no text of the server or of the source; a
reason is then the property that the server named, with the ids of one record.
Invariants: one file that names nothing outside itself; no script; every text from outside is escaped.  Pure: the time
is among the arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Final

from ..amounts import duration, per_second, quantity
from ..model import HAVE_REASONS
from ..rows import ABSENT_REFUSED
from ..shell import LIKE_E_MAIL
from ..store.history import HistoryRow
from . import parts
from .causes import GROUPS, cause_of, loss_words
from .parts import esc, number, percent, section
from .series import Day, Part, Series, daily_limit
from .style import STYLE

TERMS: Final = {
    "created": "created",
    "existing": "there before",
    "rejected": "rejected",
    "failed": "failed",
    "in_doubt": "in doubt",
    "pending": "not sent yet",
    "invalid": "invalid rows",
    "duplicates": "duplicates",
}
"""The terms of the equation, in its order, each in words."""
UNDONE: Final = "not sent yet, or undone"
UNDER_WAY: Final = "under way, or in doubt"
"""What is about to be sent by a living process looks like a doubt, since only that process knows better."""
PARTS: Final = 240
"""Parts of a chart over time: about 4 pixels each on a wide screen."""
MOST_STARTS: Final = 20
MOST_REASONS: Final = 20
ENDS: Final = {
    "done": "its work was done", "limit": "--limit was reached", "signal": "a signal asked it to",
    "left": "it was left early", "quota": "the quota was spent", "gone": "the server was gone",
    "closed": "it was closed",
}  # fmt: skip
"""Codes of ends in words; others are shown as they are."""
PROPERTY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,63}): ")
IDS: Final = re.compile(r"([0-9]{1,19}),([0-9]{1,19})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How a page is made: when (epoch seconds), by which version, whether it is private, and after how many seconds
    a browser asks for it again (None: never)."""

    at: float
    version: str
    is_private: bool = False
    refresh_s: int | None = None


def page(facts: Mapping[str, Any], rows: Sequence[HistoryRow], making: Making) -> str:
    """The whole page."""
    series = Series.of(facts, rows) if rows else None
    title = title_of(facts, making)
    refresh = f'<meta http-equiv="refresh" content="{making.refresh_s}">' if making.refresh_s else ""
    body = "".join(sections(facts, series, making))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="generator" content="bulkwriter {esc(making.version)}">{refresh}'
        f'<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f"<title>{esc(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{header(facts, title, making)}{body}{footer(series, making)}</main></body></html>\n"
    )


def sections(facts: Mapping[str, Any], series: Series | None, making: Making) -> Iterator[str]:
    yield totals(facts)
    yield ahead(facts, making)
    if series:
        yield over_time(facts, series)
        yield causes(series)
        yield by_day(series)
    yield reasons(facts, making)
    if series:
        yield doubts(facts, series)
        yield starts(facts, series)


def title_of(facts: Mapping[str, Any], making: Making) -> str:
    name = PurePath(str(facts["journal"])).name.removesuffix(".journal")
    return "A backfill" if making.is_private else f"Backfill of {name}"


def state_of(facts: Mapping[str, Any]) -> tuple[str, str]:
    """How the run stands: a class, and words."""
    if facts["writer"]:
        return "work", "At work"
    if facts["undone_at"]:
        return "stop", "Undone, and can be run again"
    if facts["ended_code"] is None:
        return ("cut", "Cut off: its last start did not note its end") if facts["ended_reason"] else ("", "Not at work")
    if facts["ended_code"] == "done" and not (facts["pending"] or facts["in_doubt"] or facts["failed"]):
        return "done", "Finished"
    return "stop", "Ended, and can go on"


def done_of(facts: Mapping[str, Any]) -> tuple[int, int | None]:
    """Settled rows, and all rows of the source, or None where their number is not known."""
    settled = facts["pairs"] - facts["pending"] - facts["in_doubt"] - facts["failed"]
    if facts["not_read"] is not None:
        return settled, facts["pairs"] + facts["not_read"]
    return settled, None if facts["rows_total"] is None and facts["writer"] else facts["pairs"]


def header(facts: Mapping[str, Any], title: str, making: Making) -> str:
    kind, words = state_of(facts)
    settled, whole = done_of(facts)
    share = f" · {percent(settled, whole)} settled" if whole else ""
    where = "" if making.is_private else f" to {facts['base_url']}"
    account = f", account {facts['account']}" if facts["account"] and not making.is_private else ""
    told = f"{facts['entity']} records{where}{account} · as of {clock(making.at)}"
    return (
        f'<header><p class="state {kind}"><i></i>{esc(words + share)}</p><h1>{esc(title)}</h1>'
        f'<p class="soft">{esc(told)}</p></header>'
    )


def totals(facts: Mapping[str, Any]) -> str:
    """The equation: rows read are the sum of all states."""
    unread = facts["not_read"] or 0
    about = "" if facts["rows_total_exact"] or not unread else "about "
    note = "Each row of the source that was read is in exactly one of these states."
    if unread:
        note += f" Not read yet: {about}{number(unread)} of {about}{number(facts['rows_total'])} rows."
    bar = parts.stacked([(name, facts[name]) for name in TERMS], unread)
    terms = [f"<li><div><b>{number(facts['pairs'])}</b><span>rows read</span></div></li>"]
    for i, (name, words) in enumerate(TERMS.items()):
        words = UNDER_WAY if name == "in_doubt" and facts["writer"] else words
        words = UNDONE if name == "pending" and facts["undone_at"] else words
        nil = "" if facts[name] else ' class="nil"'
        terms.append(
            f'<li{nil}><span class="op">{"+" if i else "="}</span><div><b>{number(facts[name])}</b>'
            f'<span><i class="dot" style="background:var(--{name})"></i>{esc(words)}</span></div></li>'
        )
    return section("Every row", f'{bar}<ul class="sum">{"".join(terms)}</ul>', note=note)


def ahead(facts: Mapping[str, Any], making: Making) -> str:
    """The end in sight, and what the run does now."""
    rows: list[tuple[str, str]] = []
    if facts["rate_per_s"]:
        rows.append(("Pace", per_second(facts["rate_per_s"]).replace("/s", " records a second")))
    if end := facts["end"]:
        about = "" if end["is_exact"] else "about "
        why = f", as the quota {end['quota']} allows" if end.get("quota") else ""
        if_started = "" if facts["writer"] else " once it is started again"
        rows.append(("End", f"in {end['words']}{if_started}, for {about}{quantity(end['left'], 'pair')} left{why}"))
    if facts.get("held_by"):
        words = cause_of(facts["held_kind"]).words if making.is_private else facts["held_by"]
        rows.append(("Held back by", words))
    for quota in facts["quotas"]:
        until = f"; no room until {quota['until']}" if quota["until"] else ""
        rows.append(("Quota", f"{quota['words']}: {number(quota['spent'])} spent by the account{until}"))
    if facts["writer"] is None and facts["ended_reason"]:
        code = facts["ended_code"] or "cut off"
        rows.append(("Last end", ENDS.get(code, code) if making.is_private else facts["ended_reason"]))
    if facts["resume_at"]:
        rows.append(("Can go on", clock(datetime.fromisoformat(facts["resume_at"]).timestamp())))
    if facts["trouble"] and not making.is_private:
        rows.append(("Forecast", facts["trouble"]))
    if facts["undone_at"]:
        deleted = facts["undone_deleted"]
        what = "not to its end" if deleted is None else f"{number(deleted)} records deleted"
        rows.append(("Undone", f"{clock(datetime.fromisoformat(facts['undone_at']).timestamp())}, {what}"))
    is_done = not (facts["pending"] or facts["in_doubt"] or facts["failed"] or facts["not_read"])
    if not any(word == "End" for word, _ in rows):
        if is_done and not facts["writer"]:
            rows.insert(0, ("End", "nothing is left to do"))
        elif not is_done:
            rows.insert(0, ("End", "not known: there is no pace or quota to tell it from"))
    return section("The end in sight", parts.facts_list(rows)) if rows else ""


def over_time(facts: Mapping[str, Any], series: Series) -> str:
    """Records and throttles over time."""
    cut = series.parts(PARTS)
    rates = [rate_of(part) for part in cut]
    highest = max((rate for rate in rates if rate is not None), default=0.0)
    factor, unit = unit_of(highest)
    scaled = [None if rate is None else rate * factor for rate in rates]
    top = parts.nice(highest * factor)
    xs = ticks(series)
    last = series.last
    made = f"{quantity(last.counts.created, 'record')} made in {duration(series.until - series.since)}"
    label = f"Records made, {unit}, over time: {made}; at most {parts.short(round(highest * factor, 1))} {unit}"
    body = parts.chart(parts.rate_area(scaled, top), top=top, unit=f"Records {unit}", xs=xs, label=label)
    throttled = last.moment.throttled
    if throttled:
        counts = [part.throttled for part in cut]
        high = parts.nice(max(counts))
        svg = parts.columns(counts, high, "thr", gap=0.1)
        each = duration((series.until - series.since) / len(cut))
        label = f"Throttled requests over time: {number(throttled)} in all"
        body += parts.chart(svg, top=high, unit=f"Throttled requests in {each}", xs=xs, label=label, is_low=True)
    share = f" ({percent(throttled, last.moment.attempts)})" if throttled else ""
    least = "" if series.is_whole else "at least "
    none = "none" if series.is_whole else f"none that is known by {clock(series.told_at)}"
    note = (
        f"{made}, with {least}{quantity(last.moment.attempts, 'request')} to create; the server throttled "
        f"{f'{least}{number(throttled)}{share}' if throttled else none}."
    )
    if facts["undone_at"]:
        note += " An undo has deleted records since."
    note += " In gaps no process ran." if last.moment.start > series.rows[0].moment.start else ""
    return section("Over time", body, note=note)


def rate_of(part: Part) -> float | None:
    """Records a second while a process ran; None where none ran."""
    ran_s = (part.until - part.since) * part.running
    return part.created / ran_s if ran_s > 0 else None


def unit_of(most_per_s: float) -> tuple[float, str]:
    """A unit in which the highest rate is a number of ordinary size, and its factor."""
    if most_per_s >= 5:
        return 1.0, "a second"
    return (60.0, "a minute") if most_per_s >= 0.02 else (3_600.0, "an hour")


def ticks(series: Series) -> list[str]:
    """The begin, the middle and the end of the time."""
    since, until = series.since, series.until
    form = "%Y-%m-%d %H:%M" if until - since >= 300 else "%H:%M:%S"
    middle = (since + until) / 2
    return [datetime.fromtimestamp(at, UTC).astimezone().strftime(form) for at in (since, middle, until)]


def causes(series: Series) -> str:
    """What held the run back: when, and for how long."""
    held = {kind: seconds for kind, seconds in series.held_s().items() if seconds >= 0.05}
    whole = sum(held.values())
    if not whole:
        return ""
    cut = series.parts(PARTS)
    groups = [cause_of(part.held).group if part.held else "none" for part in cut]
    shown = {cause_of(kind).group for kind in held}
    body = parts.strip(cut, groups)
    body += parts.legend((group, words) for group, words in GROUPS.items() if group in shown)
    rows = [
        (
            esc(cause_of(kind).words),
            parts.meter(seconds / whole, cause_of(kind).group),
            esc(duration(seconds)),
            percent(seconds, whole),
        )
        for kind, seconds in list(held.items())[:12]
    ]
    body += parts.table((("text", "cause"), ("share", "share"), ("n", "for"), ("n", "of its time")), rows)
    return section("What held it back", body, note=f"Of {duration(whole)} in which a process ran.")


def by_day(series: Series) -> str:
    """Requests of this run by day, beside the quota of a day."""
    days = series.days()
    if not series.last.moment.attempts:
        return ""
    limit = (
        daily_limit(series.last.moment.spent)
        if days[0].until.timestamp() - days[0].since.timestamp() < 90_000
        else None
    )
    most = max(day.attempts for day in days)
    top = parts.nice(max(most, limit or 0))
    xs = [day_text(days[0])] if len(days) == 1 else [day_text(days[0]), "", day_text(days[-1])]
    total = sum(day.attempts for day in days)
    label = f"Requests to create by day: {number(total)} in {quantity(len(days), 'bar')}, at most {number(most)}"
    is_drawn = len(days) > 1
    body = ""
    if is_drawn:
        unit = "Requests to create" + (f"; dashed: the quota of {number(limit)} a day" if limit else "")
        body = parts.chart(
            parts.columns([d.attempts for d in days], top, "day", limit=limit), top=top, unit=unit, xs=xs, label=label
        )
    rows = [(esc(day_text(day)), number(day.attempts), number(day.created)) for day in reversed(days)]
    grid = parts.table((("", "day (UTC)"), ("n", "requests"), ("n", "records made")), rows)
    body += f"<details><summary>The same in figures</summary>{grid}</details>" if is_drawn else grid
    least = "" if series.is_whole else "At least "
    note = f"{least}{quantity(total, 'request')} of this run by days of the server's calendar (UTC)."
    if limit:
        note += f" Its quota allows {number(limit)} a day, to all runs of the account together."
    return section("Quotas spent by day" if series.last.moment.spent else "Requests by day", body, note=note)


def day_text(day: Day) -> str:
    last = datetime.fromtimestamp(day.until.timestamp() - 1, UTC)
    first = day.since.strftime("%Y-%m-%d")
    return first if last.date() == day.since.date() else f"{first} to {last.strftime('%Y-%m-%d')}"


def reasons(facts: Mapping[str, Any], making: Making) -> str:
    """Why pairs were not written."""
    rows = []
    for state in HAVE_REASONS:
        for reason in facts["reasons"].get(state, [])[:MOST_REASONS]:
            text, example = reason["reason"], reason["example"].removesuffix(f": {reason['reason']}")
            if making.is_private:
                text, example = bare(text, state), ids_in(example)
            text, example = LIKE_E_MAIL.sub("…@…", text), LIKE_E_MAIL.sub("…@…", example)
            such = f'<span class="soft small">such as {esc(example)}</span>' if example else ""
            rows.append((esc(TERMS[state]), number(reason["count"]), esc(text) + such))
    if not rows:
        return ""
    body = parts.table((("", "state"), ("n", "rows"), ("text", "reason")), rows)
    return section("Why some were not written", body)


def bare(text: str, state: str) -> str:
    """A reason without the words of the server and of the source."""
    named = PROPERTY.match(text)
    return f"the server named {named[1]}" if named and state == "rejected" else "its words are left out"


def ids_in(example: str) -> str:
    """The ids of an example, and nothing else of it."""
    found = IDS.search(example)
    return f"{found[1]},{found[2]}" if found else ""


def doubts(facts: Mapping[str, Any], series: Series) -> str:
    """Attempts that may have been applied, and what looks told of them."""
    moment = series.last.moment
    steps, open_now = moment.steps, series.last.counts.in_doubt if facts["writer"] else facts["in_doubt"]
    lost, recalled, adopted = (steps.get(word, 0) for word in ("lost", "recalled", "adopted"))
    if not (lost or recalled or adopted or open_now):
        known = "was ever" if series.is_whole else f"is known to have been, by {clock(series.told_at)},"
        return section("Doubts", f'<p class="soft">No attempt of this run {esc(known)} in doubt.</p>')
    found, absent, refused = (steps.get(word, 0) for word in ("found", "absent", ABSENT_REFUSED))
    arose = [(loss_words(cause), count) for cause, count in sorted(moment.causes.items(), key=lambda item: -item[1])]
    arose += [("a connection that turned out to be out of step", recalled)] if recalled else []
    arose += [("left by an earlier start, which had sent them or was about to", adopted)] if adopted else []
    rows = [(esc(words), number(count)) for words, count in arose]
    ended = [
        ("found on the server by a look", found),
        ("not there, by the looks that it takes; released to be sent", absent - min(absent, refused)),
        *([("not there, as a refusal had said; it stands", refused)] if refused else []),
        ("open now", open_now),
    ]
    body = parts.table((("text", "how they arose"), ("n", "times")), rows) if rows else ""
    body += parts.table((("text", "how they were settled"), ("n", "times")), [(esc(w), number(c)) for w, c in ended])
    note = (
        "An attempt whose effect is not known is in doubt until lists of the server settle it. "
        "A record may be in doubt more than once; refused pairs that were looked up count among the looks."
    )
    if not series.is_whole:
        note += " Doubts of a start that was cut off, or goes on, are known up to the last row of its history"
        note += f", {clock(series.told_at)}."
    return section("Doubts", body, note=note)


def starts(facts: Mapping[str, Any], series: Series) -> str:
    """The processes of the run."""
    spans = series.starts()
    rows = []
    for span in reversed(spans[-MOST_STARTS:]):
        is_alive = span is spans[-1] and facts["writer"]
        end = ENDS.get(span.ended, span.ended) or ("it goes on" if is_alive else "it was cut off")
        rows.append(
            (number(span.number), esc(minute(span.began_at)), esc(duration(span.last_at - span.began_at)),
             ("" if span.ended else "at least ") + number(span.attempts), number(span.created), esc(end))
        )  # fmt: skip
    heads = (
        ("n opt", "start"), ("t", "began"), ("n opt", "lasted"), ("n opt", "requests"), ("n", "records"),
        ("text", "ended because"),
    )  # fmt: skip
    older = len(spans) - MOST_STARTS
    note = f"The last {MOST_STARTS} of {number(len(spans))}." if older > 0 else ""
    return section("Starts", parts.table(heads, rows), note=note)


def footer(series: Series | None, making: Making) -> str:
    told = f"Made from the run's journal by bulkwriter {making.version}, {clock(making.at)}."
    if series:
        told += f" Times, rates and causes are known up to {clock(series.told_at)}."
    if making.refresh_s:
        told += " While the run is at work this page is written anew about once a minute."
        told += " If the time above is long past, it was cut off."
    if making.is_private:
        told += " Names and texts are left out."
    return f"<footer><p>{esc(told)}</p></footer>"


def minute(at: float) -> str:
    """Local time to the minute; the page tells its zone elsewhere."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def clock(at: float) -> str:
    """Local time with its zone, as in a letter to a colleague."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
