"""`bulkwriter verify` against a real stub: called in this process, beside a run at work, and after one was killed."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import CANARY
from tests.support.cli_asking import PATH, WAITS, ask, call, create, journal_of, said
from tests.support.cli_process import Here, finish, interrupt, start, stub, wait_for

pytestmark = pytest.mark.slow


def test_verify_after_a_run_finds_nothing_wrong(here: Here, source: Path) -> None:
    with stub(existing=[[1, 1], [1, 900], [77, 1]]) as server:
        assert here.run(source, server).code == 0
        code, facts, done = ask(here, "verify", journal_of(source), server)
        assert (code, facts["checked"], facts["missing"], facts["doubled"], facts["strangers"]) == (0, 300, 0, 0, 1)
        assert "exactly once" in done.err
        done = here("verify", "--source", str(source), "--base-url", server.base_url, "--json")
        code, facts = done.code, said(done)
        assert (code, facts["checked"], facts["strangers"], facts["journal"]) == (0, 300, 1, None)


def test_verify_tells_missing_and_doubled_and_its_csv_is_a_source(here: Here, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "wrong.csv"
    with stub() as server:
        assert here.run(source, server).code == 0
        lost = server.records()[5]
        call(server, "DELETE", f"{PATH}/{lost[0]}")
        extra = create(server, 3, 7)
        first = next(i for i, *pair in server.records() if pair == [3, 7])
        args = ("--list-lag=0.1", "--late-apply=0.1", "--output", str(output))
        done = here("verify", str(journal_of(source)), "--base-url", server.base_url, "--json", *args)
        facts = said(done)
        assert (done.code, facts["missing"], facts["doubled"]) == (1, 1, 1)
        assert facts["missing_examples"] == [[lost[1], lost[2]]]
        assert facts["doubled_examples"] == [{"pair": [3, 7], "ids": [first, extra]}]
        assert f"lesson {lost[1]}, member {lost[2]}" in done.err
        assert here.run(output, server).counts("created", "existing") == (1, 1)
        assert ask(here, "verify", journal_of(source), server)[1]["missing"] == 0


def test_verify_works_beside_a_run_at_work(here: Here, source: Path) -> None:
    with stub(latency_s=0.15) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--in-flight=8", "--json", WAITS)
        wait_for(lambda: server.truth()["records"] > 20)
        code, facts, _ = ask(here, "verify", journal_of(source), server)
        assert process.poll() is None
        assert (code, facts["missing"], facts["doubled"], facts["in_doubt"]) == (1, 0, 0, 0)
        assert 0 < facts["checked"] < 300
        assert facts["pending"] + facts["not_read"] > 0
        assert not facts["is_complete"]
        assert here("verify", str(journal_of(source)), "--base-url", server.base_url, "--repair", "--yes").code == 5
        interrupt(process)
        assert finish(process).code == 130


def test_verify_says_what_no_start_has_read(here: Here, source: Path) -> None:
    with stub() as server:
        assert here.run(source, server, "--limit=5").code == 0
        code, facts, done = ask(here, "verify", journal_of(source), server)
        assert (code, facts["checked"], facts["missing"], facts["is_complete"]) == (1, 5, 0, False)
        assert 200 < facts["not_read"] < 400, "by its size"
        assert "and not every row of the run could be checked" in done.err
        assert "the command that began the run goes on" in done.err
        code, facts, _ = ask(here, "verify", journal_of(source), server, "--source", str(source))
        assert (code, facts["checked"], facts["missing"], facts["is_complete"]) == (1, 300, 295, True)
        assert here.run(source, server).code == 0
        code, facts, _ = ask(here, "verify", journal_of(source), server)
        assert (code, facts["not_read"], facts["is_complete"]) == (0, 0, True)


def test_a_signal_ends_it_and_claims_nothing(here: Here, source: Path) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        server.set_scenario(tokens=[CANARY], latency_s=30)
        process = start("verify", str(journal_of(source)), "--base-url", server.base_url, "--json")
        wait_for(lambda: server.truth()["in_flight"])
        interrupt(process)
        done = finish(process)
    assert (done.code, said(done)["is_complete"], said(done)["missing"]) == (130, False, 0)


def test_verify_says_that_doubts_remain(here: Here, source: Path) -> None:
    with stub(latency_s=0.3) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--progress=none")
        wait_for(lambda: server.truth()["operations"].get("create"))
        process.kill()
        finish(process)
        server.set_scenario(tokens=[CANARY])
        code, facts, _ = ask(here, "verify", journal_of(source), server)
    assert (code, facts["in_doubt"] > 0, facts["missing"]) == (3, True, 0)


def test_lists_with_faults_are_not_believed(here: Here, source: Path) -> None:
    faults = {"list_short": 0.15, "list_miscount": 0.1, "list_empty": 0.1}
    with stub(page_size_max=50) as server:
        assert here.run(source, server).code == 0
        trouble = [
            {"kind": "500_before", "on": "list", "share": 0.1},
            {"kind": "rst_before", "on": "list", "share": 0.1},
        ]
        server.set_scenario(
            tokens=[CANARY],
            page_size_max=50,
            seed=3,
            faults=[{"kind": k, "share": s} for k, s in faults.items()] + trouble,
        )
        code, facts, _ = ask(here, "verify", journal_of(source), server)
    assert (code, facts["missing"], facts["doubled"], facts["strangers"]) == (0, 0, 0, 0)


def test_repair_takes_only_what_the_journal_claims(here: Here, source: Path) -> None:
    with stub(existing=[[1, 1]]) as server:
        assert here.run(source, server).code == 0
        for pair in ((2, 1), (2, 2), (1, 1)):
            create(server, *pair)
        journal = journal_of(source)
        code, _, done = ask(here, "verify", journal, server, "--repair")
        assert (code, "--yes" in done.err) == (2, True)
        code, facts, _ = ask(here, "verify", journal, server, "--repair", "--yes")
        assert (code, facts["repaired"], facts["doubled"], facts["missing"]) == (1, 2, 1, 0)
        assert facts["doubled_examples"][0]["pair"] == [1, 1]  # one existed, the other is nobody's we know
        done = here("verify", str(journal), "--base-url", server.base_url, "--repair", "--yes", WAITS)
        assert "next       this run cannot claim the rest: --output FILE.csv lists them" in done.err
        assert [server.truth()[name] for name in ("doubles", "deletes_applied")] == [1, 2]
        assert here.run(source, server).counts("created", "existing") == (297, 3)


@pytest.mark.parametrize(
    ("args", "code", "hint"),
    [
        ((), 2, "verify JOURNAL"),
        (("--repair", "--source", "x.csv"), 2, "JOURNAL"),
        (("nowhere.journal",), 5, "no journal"),
        (("--source", "nowhere.csv"), 6, "nowhere.csv"),
    ],
)
def test_what_cannot_be_verified(here: Here, args: tuple[str, ...], code: int, hint: str) -> None:
    done = here("verify", *args, "--json", "--base-url=http://127.0.0.1:9")
    assert (done.code, said(done)["is_complete"], hint in done.err) == (code, False, True)


@pytest.mark.parametrize("harm", ["DELETE FROM pair WHERE seq = 3", "UPDATE pair SET state = 42 WHERE seq = 3"])
def test_a_journal_that_lacks_a_row_is_not_said_to_be_all_there(here: Here, source: Path, harm: str) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        with contextlib.closing(sqlite3.connect(journal_of(source))) as db:
            db.execute(harm)
            db.commit()
        code, facts, done = ask(here, "verify", journal_of(source), server)
    assert (code, facts["checked"]) == (5, 0)
    assert "the journal is damaged" in done.err


def test_a_journal_answers_only_for_its_own_host(here: Here, source: Path) -> None:
    with stub() as server, stub() as other:
        assert here.run(source, server).code == 0
        for what in ("verify", "undo"):
            assert ask(here, what, journal_of(source), other, "--yes")[0] == 5
        assert other.truth()["requests"] == {}
