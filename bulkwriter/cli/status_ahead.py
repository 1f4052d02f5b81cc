"""What lies ahead of a run, for `status`: pace, the forecast end under its quotas, which are spent and until when.

From what the run has noted in its journal (`run.notes`) and from the ledger as it is now, so it is right for a run
that waits for days as for one that was stopped: that is told as if it were started at this moment, at the rate that it
had.  Without quotas and without a rate nothing is foretold, nor while a run waits for a server that is gone.  A ledger
that cannot be read leaves all of this out, with a word why.

Invariant: reads only.  Not here: the forecast itself (`quota.forecast`).
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core.left import to_do
from ..core.writes import writes_to_come
from ..errors import BulkwriterError
from ..postgres.address import Address, is_postgres
from ..quota.view import UNKNOWN
from ..store.starts import RUN, noted_of, number_of, wall_of
from ..wording import typed
from . import describe

RATE_MAX: Final = 1e9
ROUND_S: Final = 0.1
"""Notes tell times in tenths of a second."""
OTHERS_TOLD: Final = 0.05
"""Fewer writes of others for each of ours move an end by less than it is told exactly."""

if TYPE_CHECKING:
    from ..model import Counts
    from ..store.journal_reader import JournalReader
    from ..store.starts import Start
    from .last_start import RunState
    from .outlook import Outlook


def facts(reader: JournalReader, run_state: RunState) -> dict[str, Any]:
    """As `--json` has it."""
    noted, is_alive = noted_of(reader.meta(), RUN), run_state.is_alive
    is_told = is_alive and is_of_start(noted, run_state.start)
    rate = number_of(noted, "rate_per_s", RATE_MAX) if is_told else None
    held = held_now(noted) if is_told else {}
    found: dict[str, Any] = held | {
        "rate_per_s": rate,
        "end": None,
        "others": 0.0,
        "quotas": [],
        "trouble": "",
    }
    try:
        outlook = outlook_of(reader, noted)
        if outlook and run_state.is_theirs and run_state.resume_at is not None:
            outlook = outlook.later(run_state.resume_at)
    except BulkwriterError as error:
        return found | {"trouble": typed(error.message)}
    counts, rows = run_state.counts, run_state.rows
    left = to_do(counts, rows.not_read, is_alive=is_alive)
    unmet = int(number_of(noted, "unmet", RATE_MAX) or 0)
    writes = writes_to_come(counts, rows.not_read, unmet=unmet, is_alive=is_alive)
    steady = number_of(noted, "writes_per_s", RATE_MAX)
    wait_s = doubts_s(counts, noted, is_alive=is_alive) + (counts.in_doubt / steady if steady else 0.0)
    is_unknown = is_alive and found.get("held_kind") in UNKNOWN
    is_exact = rows.is_exact or rows.not_read == 0
    if outlook and outlook.windows and (left or rows.total is None):
        found["quotas"] = spent_now(outlook)
    if not left or rows.total is None or outlook is None or is_unknown:
        return found
    if not writes or steady or outlook.windows:
        if is_alive:
            outlook = outlook.beside_itself(number_of(noted, "others", RATE_MAX))
        end = dataclasses.replace(outlook, rate_per_s=steady or math.inf).together(writes).after(wait_s)
        end = end.after(end.seconds + last_doubts_s(writes, noted))
        found["end"] = {**end.facts(), "left": left, "is_exact": is_exact, "words": end.words()}
        found["others"] = round(outlook.others, 2)
    return found


def doubts_s(counts: Counts, noted: dict[str, Any], *, is_alive: bool) -> float:
    """For how long doubts wait at least, if the run is started now; how long those of a living run have waited nobody
    else knows."""
    if is_alive or not counts.in_doubt:
        return 0.0
    return number_of(noted, "doubt_wait_s", RATE_MAX) or 0.0


def last_doubts_s(writes: int, noted: dict[str, Any]) -> float:
    """For how long the last of the doubts waits that these writes will leave, if they leave any as the last start's
    did."""
    are_any = writes * (number_of(noted, "doubted", 1.0) or 0.0) >= 1
    return (number_of(noted, "doubt_wait_s", RATE_MAX) or 0.0) if are_any else 0.0


def is_of_start(noted: dict[str, Any], start: Start | None) -> bool:
    """Whether a run at work has noted this itself: while it opens its journal, what an earlier start noted is there."""
    at = wall_of(noted, "at")
    return start is None or start.began_at is None or (at is not None and at >= start.began_at - ROUND_S)


def held_now(noted: dict[str, Any]) -> dict[str, Any]:
    """What a living run said last of what holds it back; nothing of a run that began with an older version."""
    if not noted.get("held_by"):
        return {}
    now, until, at = time.time(), wall_of(noted, "holds_until"), wall_of(noted, "at")
    return {
        "held_kind": str(noted.get("held_kind", "")),
        "held_by": str(noted["held_by"]),
        "holds_until_s": round(until - now, 1) if until and until > now else None,
        "believes": str(noted.get("believes", "")),
        "said_s": round(max(0.0, now - (at or now)), 1),
    }


def outlook_of(reader: JournalReader, noted: dict[str, Any]) -> Outlook | None:
    """The quotas that the run obeys, with what is spent of them now."""
    if not noted:
        return None
    from ..quota.ledger import account_key
    from ..quota.windows import windows_of
    from ..settings import Settings
    from .outlook import Outlook

    meta = reader.meta()
    base_url, quota, ledger_name = meta["base_url"], noted.get("quota"), noted.get("ledger")
    texts = [text for text in quota if isinstance(text, str)] if isinstance(quota, list) else ()
    share = number_of(noted, "quota_share", 1.0) or 1.0
    windows = windows_of(texts, is_loopback=Settings(base_url=base_url).is_loopback, share=share)
    ledger = ledger_named(ledger_name) if isinstance(ledger_name, str) and ledger_name else None
    return Outlook.now(windows, ledger, account_key(base_url, meta.get("account") or None))


def ledger_named(text: str) -> Path | Address:
    """The ledger that a run has noted.  The URL of a database is noted without its password: the one of the environment
    is taken if it names the same.
    """
    if not is_postgres(text):
        return Path(text)
    noted, here = Address.parse(text), os.environ.get("BULKWRITER_LEDGER", "")
    given = Address.parse(here) if is_postgres(here) else noted
    return given if given.shown == noted.shown else noted


def spent_now(outlook: Outlook) -> list[dict[str, Any]]:
    """The long windows of which something is spent, and until when those are spent that have no room."""
    from ..model import moment
    from .outlook import window_words

    found = []
    for window in outlook.concerned():
        spent = outlook.spent(window)
        if spent is None:
            continue
        wait_s = outlook.opens_at(window) - outlook.boot
        if not spent and wait_s <= 0:
            continue
        until = moment(outlook.wall + wait_s) if 0 < wait_s < math.inf else None
        found.append({"quota": window.text, "words": window_words(window), "spent": spent, "until": until})
    return found


def lines(facts: dict[str, Any]) -> list[str]:
    """The same for people."""
    rows = []
    if facts["rate_per_s"]:
        rows.append(("pace", describe.creates_per_second(facts["rate_per_s"])))
    if facts.get("held_by"):
        if facts["believes"]:
            rows.append(("believes", f"{facts['believes']} (said {describe.duration(facts['said_s'])} ago)"))
        more = facts["holds_until_s"]
        rows.append(("held back", facts["held_by"] + ("" if more is None else f", {describe.duration(more)} more")))
    if end := facts["end"]:
        about = "" if end["is_exact"] else "about "
        why = f": the quota {end['quota']} allows no more" if end.get("quota") else ""
        now = "" if facts["writer"] else " if started now,"
        left = f"{about}{describe.quantity(end['left'], 'pair')} left"
        rows.append(("end", f"in {end['words']},{now} for {left}{why}"))
        if facts["others"] >= OTHERS_TOLD:
            rows.append(
                ("others", f"they write {facts['others']:.3g} times as much as this run; the end counts on that")
            )
    for quota in facts["quotas"]:
        until = f"; no room until {quota['until']}" if quota["until"] else ""
        rows.append(("quota", f"{quota['words']}: {quota['spent']:,} spent{until}"))
    if facts["trouble"]:
        rows.append(("quota", facts["trouble"]))
    return ["", *(f"{word:<9}  {text}" for word, text in rows)] if rows else []
