"""Servers in other manners than our stub's: every pair once, whatever the API's pages leave open."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bulkwriter import State
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for, some_pairs, states, truth, wholly
from tests.support.stranger import Manner, Stranger

PAIRS = some_pairs(400)
THERE = PAIRS[5:300:7]
MANNERS = {
    "201, lower case, more in Value": Manner(
        status=201, is_lower=True, value=(("CourseLessonId", 5), ("Name", "x"), ("Nested", (1, 2))), loses=0.03
    ),
    "HTTP/1.0 that closes": Manner(version="HTTP/1.0", closes=True, loses=0.03),
    "HTTP/1.0 with a length": Manner(version="HTTP/1.0", loses=0.03),
    "closes without a word": Manner(closes=True, loses=0.03),
    "closes and says so": Manner(closes=True, says_close=True, loses=0.03),
    "says close and does not": Manner(says_close=True, loses=0.03),
    "keeps connections a second": Manner(keep_alive="timeout=1", idle_s=1.0, loses=0.03),
    "chunked": Manner(chunked=True, loses=0.03),
    "random ids": Manner(ids="random", loses=0.03),
    "falling ids": Manner(ids="falling", loses=0.03),
    "huge ids": Manner(ids="huge", loses=0.03),
    "old envelope": Manner(is_old=True, loses=0.03),
    "pages of 25": Manner(most_size=25, loses=0.03),
    "pages of 100": Manner(most_size=100, loses=0.03),
    "ascending whatever is asked": Manner(order="ascending", loses=0.03),
    "ascending pages of 25": Manner(order="ascending", most_size=25, loses=0.03),
    "no order": Manner(order="none", ids="random", loses=0.03),
    "filters ignored": Manner(ignores_filters=True, loses=0.03),
    "slow bodies": Manner(trickle_s=0.001, loses=0.03),
}


@pytest.mark.slow
@pytest.mark.parametrize("existing", ["check", "skip"])
@pytest.mark.parametrize("name", MANNERS)
def test_every_pair_once(tmp_path: Path, name: str, existing: str) -> None:
    there = THERE if existing == "check" else []
    with Stranger(MANNERS[name], [*there, *((99, m) for m in range(1, 120))]) as server:
        settings = settings_for(server.base_url, tmp_path / "j", existing=existing, in_flight=8)
        summary = on_loop(lambda: wholly(PAIRS, settings))
        assert server.count == (400 + 119, 0)
        assert (summary.exit_code, summary.counts.in_doubt) == (0, 0)
        created = states(tmp_path / "j")[State.CREATED]
        assert created + summary.counts.existing == 400
        if existing == "check":
            assert summary.counts.existing == len(there)
        else:  # without a look before, and without rising ids, a doubt that is found may have been there before
            assert summary.counts.existing <= 20


@pytest.mark.slow
@pytest.mark.parametrize("unique", ["400", "409"])
def test_a_server_that_refuses_doubles(tmp_path: Path, unique: str) -> None:
    """What it refuses because it is there counts as existing, with its record; what it does not know as rejected."""
    there = [list(pair) for pair in PAIRS[:30]]
    rules = {"unique": unique, "existing": there, "known_members": ["1-35"], "list_lag_s": 0.03}
    with stub(**rules, faults={"rst_after": 0.05, "500_after": 0.05}, seed=3) as server:
        settings = settings_for(server, tmp_path / "j", existing="skip", in_flight=8, max_same_rejections=100)
        summary = on_loop(lambda: wholly(PAIRS, settings))
        ids = {record_id: (lesson, member) for record_id, lesson, member in server.records()}
        assert truth(server) == (350, 0)
    assert (summary.counts.existing, summary.counts.rejected, summary.counts.created) == (30, 50, 320)
    with sqlite3.connect(f"file:{tmp_path / 'j'}?mode=ro", uri=True) as db:
        told = db.execute("SELECT record_id, id_a, id_b FROM pair WHERE state = ?", [int(State.EXISTING)]).fetchall()
    db.close()
    assert len(told) == 30
    assert all(ids[record_id] == pair for record_id, *_ in told for pair in [tuple(_)])
