"""`scripts/damage`: hundreds of damaged journals and a fifth as many ledgers, each asked of by every command.

    scripts/damage [COUNT] [SEED]

Prints each wrong answer with its seed, and figures at the end; `python -m tests.campaigns.damage 1 SEED` tries that one
again.  `tests.support.damage` says what is damaged and what is wrong.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import CANARY
from tests.support import damage
from tests.support.damaged_ledger import is_ledger_damaged
from tests.support.progress import say

READING = ("status", "export", "verify", "dry run", "would undo")
"""Commands that change nothing."""


def try_journal(place: damage.Place, seed: int, only: Sequence[str] = ()) -> tuple[str, list[str], Counter[str]]:
    """What was damaged, the wrong answers of all commands or of some, and how often each exit code came."""
    what = damage.harm_journal(place, random.Random(seed))
    found, codes = [], Counter[str]()
    for name, args in place.commands().items():
        if only and name not in only:
            continue
        rows = damage.cells(place.journal)  # a command that ran before may have changed it, in order
        is_lost = not place.journal.stat().st_size
        said = place.ask(*args)
        codes[f"{name} {said[0]}"] += 1
        if trouble := damage.wrong(name, said, rows, is_lost=is_lost):
            found.append(f"{name}: {trouble}: {said[2].strip()[-300:]!r}")
    return what, found, codes


def try_ledger(place: damage.Place, seed: int) -> tuple[str, list[str], Counter[str]]:
    what = damage.harm_ledger(place, random.Random(seed))
    is_shown = is_ledger_damaged(place.ledger)
    found, codes = [], Counter[str]()
    for name, args in place.commands().items():
        said = place.ask(*args)
        codes[f"{name} {said[0]}"] += 1
        if trouble := damage.wrong_of_ledger(name, said, is_shown=is_shown):
            found.append(f"{name}: {trouble}: {said[2].strip()[-300:]!r}")
    return what, found, codes


def campaign(count: int, seed: int, folder: Path) -> int:
    """Returns how many files were answered wrongly."""
    bad, codes = 0, Counter[str]()
    ledgers = max(1, count // 5)
    with damage.server() as server:
        place = damage.Place(folder / "here", server)
        for kind, step, tries in (("journal", try_journal, count), ("ledger", try_ledger, ledgers)):
            for its_seed in range(seed, seed + tries):
                what, found, its_codes = step(place, its_seed)
                codes += Counter({f"{kind}: {name}": n for name, n in its_codes.items()})
                bad += bool(found)
                for text in found:
                    say(f"{kind} seed {its_seed} ({what}): {text}")
    for name, n in sorted(codes.items()):
        say(f"  {name}: {n}")
    say(f"{count} journals and {ledgers} ledgers: {bad} answered wrongly")
    return bad


def main(count: int = 500, seed: int = 1) -> int:
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HOME=folder, XDG_STATE_HOME=f"{folder}/state", BULKWRITER_TOKEN=CANARY)
        bad = campaign(count, seed, Path(folder))
    say(f"({time.monotonic() - began_at:.0f} s; scripts/damage {count} {seed})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
