"""What lies ahead of a run, for `status`: pace, the forecast end under its quotas, which are spent and until when.

From what the run has noted in its journal (`engine.notes`) and from the ledger as it is now, so it is right for a run
that waits for days as for one that was stopped.  The rate counts only while its process lives; without quotas and
without a rate nothing is foretold.  A ledger that cannot be read leaves all of this out, with a word why.

Invariant: reads only.  Not here: the forecast itself (`forecast`).
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BulkwriterError
from ..model import Counts
from . import words

if TYPE_CHECKING:
    from ..store.reader import JournalReader
    from .forecast import Outlook


def facts(reader: JournalReader, counts: Counts) -> dict[str, Any]:
    """As `--json` has it."""
    noted = notes_of(reader)
    is_alive = reader.writer() is not None
    rate = noted.get("rate_per_s") if is_alive else None
    held = held_now(noted) if is_alive else {}
    found: dict[str, Any] = held | {
        "rows": noted.get("rows"),
        "rate_per_s": rate,
        "end": None,
        "quotas": [],
        "trouble": "",
    }
    try:
        outlook = outlook_of(reader, noted)
    except BulkwriterError as error:
        return found | {"trouble": error.message}
    left = left_of(counts, noted.get("rows") or 0, is_alive=is_alive)
    if left and outlook and outlook.windows:
        end = outlook.together(left)
        found["end"] = {**end.facts(), "left": left, "is_exact": noted.get("is_exact", False), "words": end.words()}
        found["quotas"] = spent_now(outlook)
    elif left and rate:
        found["end"] = {"left": left, "seconds": round(left / rate, 1), "words": words.duration(left / rate)}
    return found


def left_of(counts: Counts, rows: int, *, is_alive: bool) -> int:
    """Pairs that want a write.  Intents read as in doubt; those of a living run wait for their turn to be sent."""
    known = counts.pending + counts.failed + (counts.in_doubt if is_alive else 0)
    return known + max(0, rows - counts.pairs)


def notes_of(reader: JournalReader) -> dict[str, Any]:
    """What the run has noted of itself; nothing in a journal of an older version."""
    text = reader.meta().get("run")
    noted = json.loads(text) if text else {}
    return noted if isinstance(noted, dict) else {}


def held_now(noted: dict[str, Any]) -> dict[str, Any]:
    """What a living run said last of what holds it back; nothing of a run that began with an older version."""
    if not noted.get("held_by"):
        return {}
    now, until = time.time(), noted.get("holds_until")
    return {
        "held_kind": noted["held_kind"],
        "held_by": noted["held_by"],
        "holds_until_s": round(until - now, 1) if until and until > now else None,
        "believes": noted.get("believes", ""),
        "said_s": round(max(0.0, now - noted["at"]), 1),
    }


def outlook_of(reader: JournalReader, noted: dict[str, Any]) -> Outlook | None:
    """The quotas that the run obeys, with what is spent of them now."""
    if not noted:
        return None
    from ..core.quota import windows_of
    from ..settings import Settings
    from ..store.ledger import account_key, ledger_path
    from .forecast import Outlook

    meta = reader.meta()
    base_url = meta["base_url"]
    windows = windows_of(
        noted.get("quota", ()), is_loopback=Settings(base_url=base_url).is_loopback, share=noted.get("quota_share", 1.0)
    )
    ledger = ledger_path(Path(noted["ledger"]) if noted.get("ledger") else None)
    return Outlook.now(windows, ledger, account_key(base_url, meta.get("account") or None))


def spent_now(outlook: Outlook) -> list[dict[str, Any]]:
    """The long windows of which something is spent, and until when those are spent that have no room."""
    from ..engine.quota_view import moment
    from .forecast import window_words

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
        rows.append(("pace", words.per_second(facts["rate_per_s"]).replace("/s", " pairs/s")))
    if facts.get("held_by"):
        rows.append(("believes", f"{facts['believes']} (said {words.duration(facts['said_s'])} ago)"))
        more = facts["holds_until_s"]
        rows.append(("held back", facts["held_by"] + ("" if more is None else f", {words.duration(more)} more")))
    if end := facts["end"]:
        about = "" if end.get("is_exact", True) else "about "
        why = f"; {end['quota']} binds" if end.get("quota") else ""
        rows.append(("end", f"in {end['words']}, for {about}{words.quantity(end['left'], 'pair')} left{why}"))
    for quota in facts["quotas"]:
        until = f"; no room until {quota['until']}" if quota["until"] else ""
        rows.append(("quota", f"{quota['words']}: {quota['spent']:,} spent{until}"))
    if facts["trouble"]:
        rows.append(("quota", facts["trouble"]))
    return ["", *(f"{word:<9}  {text}" for word, text in rows)] if rows else []
