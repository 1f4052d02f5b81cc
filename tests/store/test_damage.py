"""Random damage, a few of each kind; `scripts/damage` tries hundreds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.damage import READING, try_journal, try_ledger
from tests.support import damage

pytestmark = pytest.mark.slow


def test_no_damage_is_a_bug_of_ours_or_an_untrue_claim(tmp_path: Path, canary_env: str) -> None:
    with damage.server() as server:
        place = damage.Place(tmp_path / "here", server)
        answers = [try_journal(place, seed, READING) for seed in range(24)]
        answers += [try_journal(place, seed) for seed in range(24, 30)]
        answers += [try_ledger(place, seed) for seed in range(6)]
    assert [(what, found) for what, found, _ in answers if found] == []
    codes = {name for _, _, codes in answers for name in codes}
    assert {"status 0", "status 5", "export 0", "export 5", "verify 5", "run 5", "undo 5", "plan 5"} <= codes


def test_what_is_not_damaged_is_answered(tmp_path: Path, canary_env: str) -> None:
    with damage.server() as server:
        place = damage.Place(tmp_path / "here", server)
        rows = damage.cells(place.journal)
        assert rows is not None
        assert len(rows) == damage.ROWS
        for name, args in place.commands().items():
            rows = damage.cells(place.journal)
            said = place.ask(*args)
            assert damage.wrong(name, said, rows) == ""
            assert said[0] in (0, 1, 3)
