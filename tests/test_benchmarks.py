"""The benchmarks as programs: they count what they say they count, and refuse what cannot be compared.

No figure is judged here.  What runs for real runs with a few hundred pairs.
"""

from __future__ import annotations

import ast
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import __main__ as command_line
from benchmarks import counters, figures, inputs, peers, resolve, resume, servers, singles
from benchmarks.children import BenchmarkFailed, Cores, Ended, bound_to, check_ended, run_child
from benchmarks.clients import CLIENTS
from benchmarks.commands import read_wrk, remove_journal
from benchmarks.figures import Row
from benchmarks.stages import Work
from benchmarks.stages.__main__ import STAGES
from benchmarks.turns import Contender, Plan, in_turns, run_once, with_starts
from bulkwriter.sources import open_source
from bulkwriter.stub.thread import StubThread

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable


def plan_in(folder: Path, **given: Any) -> Plan:
    return Plan(folder=folder, cores=Cores(), say=lambda text: None, **{"rounds": 1, **given})


def ended(out: str = "", *, exit_code: int = 0, err: str = "") -> Ended:
    return Ended(
        began_at=0.0, exit_code=exit_code, out=out, err=err, wall_s=1.0, user_s=0.5, system_s=0.25, rss_bytes=10**9
    )


def words(text: str) -> str:
    """Text without its columns."""
    return " ".join(text.split())


# children


def test_a_child_is_counted_by_itself() -> None:
    busy = run_child([PYTHON, "-c", "import time\nwhile time.process_time() < 0.15: pass\nprint('done')"])
    idle = run_child([PYTHON, "-c", "import time; time.sleep(0.15)"])
    assert busy.out == "done\n"
    assert busy.cpu_s >= 0.15 > idle.cpu_s
    assert idle.wall_s >= 0.15


def test_a_childs_peak_is_its_own() -> None:
    ours = b" " * 400_000_000  # a child would start with that, were it made by this process
    large = run_child([PYTHON, "-c", "b' ' * 120_000_000"])
    assert large.rss_bytes is not None
    assert 120_000_000 < large.rss_bytes < 240_000_000 < len(ours)
    assert run_child(["true"]).rss_bytes is None


def test_a_command_that_is_not_there_ends_as_in_a_shell() -> None:
    missing = run_child(["no-such-command"])
    assert missing.exit_code == 127
    assert "no-such-command" in missing.err


def test_a_failed_child_is_no_figure() -> None:
    with pytest.raises(BenchmarkFailed, match="it ended with 3: no luck"):
        check_ended("it", run_child([PYTHON, "-c", "import sys; sys.stderr.write('no luck'); sys.exit(3)"]))


def test_a_child_that_does_not_come_back_is_killed() -> None:
    with pytest.raises(BenchmarkFailed, match="longer than"):
        run_child([PYTHON, "-c", "import time; time.sleep(60)"], limit_s=0.1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds nothing")
def test_children_are_bound_and_we_are_not() -> None:
    before = os.sched_getaffinity(0)
    one = frozenset([min(before)])
    with bound_to(one):
        assert os.sched_getaffinity(0) == one
    assert os.sched_getaffinity(0) == before
    told = run_child([PYTHON, "-c", "import os; print(os.sched_getaffinity(0))"], cores=one)
    assert told.out.strip() == str(set(one))


# turns


def echoing(name: str, said: str, **how: Any) -> Contender:
    return Contender(
        name=name,
        pairs=10,
        argv=lambda count: [PYTHON, "-c", f"print('{said}')"],
        cores=frozenset(),
        read=lambda it: {"pairs": int(it.out)},
        **how,
    )


def test_contenders_take_turns(tmp_path: Path) -> None:
    contenders = [echoing(name, "10", has_start=False, has_own_count=True) for name in "ab"]
    runs, starts = in_turns(contenders, plan_in(tmp_path, rounds=2))
    assert [(run["turn"], run["name"]) for run in runs] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert starts == []


def test_a_start_is_told_and_taken_off() -> None:
    rows: list[Row] = [{"name": "a", "pairs": 1_001, "cpu_s": 0.5}, {"name": "b", "pairs": 10, "cpu_s": 1.0}]
    a, b = with_starts(rows, [{"name": "a", "start_cpu_s": 0.3}])
    assert a == {**rows[0], "start_cpu_s": 0.3, "running_us": pytest.approx(200.0)}
    assert b == rows[1]


def test_half_a_run_is_no_figure() -> None:
    with pytest.raises(BenchmarkFailed, match="was to write 10 pairs and wrote 9"):
        run_once(echoing("a", "9"), 10)


# figures


def test_medians_are_taken_by_name_and_of_what_all_runs_have() -> None:
    runs: list[Row] = [
        {"name": "a", "cpu_us": 1.0, "pairs": 5},
        {"name": "b", "cpu_us": 7.0},
        {"name": "a", "cpu_us": 9.0, "rss_bytes": 3.0, "pairs": 5},
        {"name": "a", "cpu_us": 2.0, "pairs": 5},
    ]
    rows = figures.median_rows(runs)
    assert rows == [{"name": "a", "cpu_us": 2.0, "pairs": 5}, {"name": "b", "cpu_us": 7.0}]
    assert figures.ratio(rows, "b", "a", "cpu_us") == 3.5
    assert figures.ratio(rows, "b", "a", "rss_bytes") is None
    assert words(figures.row_table(rows, ["cpu_us", "pairs", "took_s"])).endswith("a 2.0 5 b 7.0 -")


@given(st.integers(0, 10**6), st.integers(1, 20_000))
@settings(max_examples=10)
def test_made_pairs_have_no_doubles_and_follow_from_the_seed(seed: int, count: int) -> None:
    for make in (inputs.clustered, inputs.scattered):
        pairs = list(make(count, seed))
        assert len(set(pairs)) == count
        assert all(0 < number < 2**32 for pair in pairs for number in pair)
        assert list(make(count, seed)) == pairs


@pytest.mark.parametrize("form", inputs.FORMATS)
async def test_every_format_holds_the_same_pairs(tmp_path: Path, form: str) -> None:
    pairs = list(inputs.clustered(30, 7))
    source = open_source(str(inputs.write_pairs(tmp_path / f"some{form}", pairs)))
    batch = await source.read(100)
    await source.aclose()
    assert batch is not None
    assert batch.pairs == pairs


def test_the_peers_read_the_same_pairs(tmp_path: Path) -> None:
    pairs = list(inputs.clustered(30, 7))
    assert inputs.read_csv(inputs.write_pairs(tmp_path / "some.csv", pairs), 20) == pairs[:20]


def test_wrk_is_read_and_its_errors_are_no_figure() -> None:
    said = "  204800 requests in 2.00s, 60MB read\nRequests/sec: 102400.00\n"
    assert read_wrk(ended(said)) == {"pairs": 204_800, "pairs_per_s": 102_400.0}
    for wrong in ("", said + "  Non-2xx or 3xx responses: 3\n", said.replace("204800 req", "0 req")):
        with pytest.raises(BenchmarkFailed):
            read_wrk(ended(wrong))


def test_a_journal_is_taken_away_whole(tmp_path: Path) -> None:
    for name in ("a.journal", "a.journal-wal", "a.journal.lock", "b.journal"):
        (tmp_path / name).touch()
    remove_journal(tmp_path / "a.journal")
    assert [path.name for path in tmp_path.iterdir()] == ["b.journal"]


def test_instructions_are_told_only_where_they_were_counted() -> None:
    assert counters.instructions_in("12345,,instructions:u,1000,100.00,,\n") == 12_345
    assert counters.instructions_in("<not supported>,,instructions:u,0,100.00,,\n") is None
    assert counters.instructions_in("") is None
    assert counters.refs_in("==7== \n==7== I   refs:      1,792,149,912\n") == 1_792_149_912
    assert counters.refs_in("==7== valgrind: failed to start tool") is None


@pytest.mark.slow
def test_valgrind_counts_the_same_instructions_each_time() -> None:
    if not counters.has_valgrind():  # it takes three seconds to know, which is much for those who collect tests
        pytest.skip("no valgrind here")
    argv = [PYTHON, "-I", "-S", "-c", "sum(range(10**5))"]
    counter = Contender(name="it", pairs=1, argv=lambda count: argv, cores=frozenset(), read=lambda ended: {"pairs": 1})
    one, other = (run_once(counter, 1, counting=counters.by_valgrind)["instructions"] for _ in range(2))
    assert one == pytest.approx(other, rel=0.02)


# the whole


def test_clients_are_written_alike_and_their_libraries_are_listed() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["bench"]
    listed = {line.split(">")[0] for line in group}
    for client in CLIENTS:
        tree = ast.parse((ROOT / "benchmarks" / "clients" / f"{client.module}.py").read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
        assert names == {"write_all" if client.is_own_loop else "posting"}
        assert client.library in listed | {"aiohttp"}


def test_an_unknown_word_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["piers"]) == 2
    assert "piers" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_every_stage_runs(tmp_path: Path, name: str) -> None:
    pairs = list(inputs.clustered(500, 1))
    source = inputs.write_pairs(tmp_path / "some.csv", pairs)
    with StubThread() as stub:
        STAGES[name](Work(pairs, source, tmp_path, stub.base_url))()


@pytest.mark.slow
@pytest.mark.skipif(not servers.has_nginx(), reason="no nginx here")
def test_ids_of_nginx_are_fresh_and_rise(tmp_path: Path) -> None:
    with servers.nginx(tmp_path, Cores()) as server:
        port = int(server.base_url.rpartition(":")[2])
        ids = [number for _ in range(20) for number in servers.ask(port, 50)]
    assert len(set(ids)) == len(ids) == 1_000
    assert max(ids) < 2**63
    coarse = [number // 10**5 for number in ids]  # milliseconds
    assert coarse == sorted(coarse)


@pytest.mark.slow
def test_everyone_who_is_installed_writes_every_pair(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, pairs=200)
    with servers.cheapest(tmp_path, plan.cores) as server:
        contenders, missing = peers.contenders_at(server, plan)
        runs = [run_once(contender, contender.pairs) for contender in contenders]
    assert {"bulkwriter", "aiohttp, ClientSession loop", "aiohttp, asyncio.gather as written"} <= {
        str(run["name"]) for run in runs
    }
    assert len([one for one in contenders if not one.name.endswith(peers.TLS)]) + len(missing) == len(CLIENTS) + 2


def test_what_is_claimed_is_the_median_of_ratios_taken_within_a_turn() -> None:
    rows: list[Row] = [
        {"name": name, "turn": turn, "cpu_us": cpu_us * slow, "pairs_per_s": pairs_per_s / slow}
        for turn, slow in ((1, 1.0), (2, 3.0), (3, 1.0))  # a neighbour comes and goes
        for name, cpu_us, pairs_per_s in (
            (peers.OURS, 20.0 if turn == 3 else 16.0, 60_000.0),
            (peers.LOOP, 80.0, 12_000.0),
            (peers.RUST[0], 40.0, 24_000.0),
            (peers.RUST[1], 50.0, 20_000.0),
        )
    ]
    ratios, spreads = peers.ratios_of(figures.median_rows(rows), rows)
    cpu, best = "CPU a pair: bulkwriter / ClientSession loop", "pairs/s: bulkwriter / the best Rust client, "
    assert ratios[cpu] == 0.2
    assert spreads[cpu] == (0.2, 0.25)
    assert ratios[best + peers.RUST[0]] == 2.5
    assert ratios["pairs/s: bulkwriter / wrk"] is None


@pytest.mark.slow
def test_resolving_counts_calls_and_holds_them_to_their_bar(tmp_path: Path) -> None:
    people = {"coworkers": 300, "courses": 5, "lessons": 6, "enrolments": 500}
    case = resolve.Case({"people": people, "page_size_max": 20}, 200, courses=5, most_calls=500, kill_after=20)
    measured = resolve.run(case, tmp_path, plan_in(tmp_path))
    assert measured["calls_again"] == 0
    assert 20 < measured["calls"] <= 500
    with pytest.raises(BenchmarkFailed, match="5 are allowed"):
        resolve.run(case._replace(most_calls=5, kill_after=0), tmp_path, plan_in(tmp_path))


@pytest.mark.slow
def test_resuming_tells_the_whole_and_its_parts(tmp_path: Path) -> None:
    found = resume.measure(plan_in(tmp_path, pairs=300))
    assert len(found.rows) == 1 + len(resume.PARTS)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["write x 10", "write_many 100 x 10", "no journal: stream", "offered 1000/s"])
def test_single_pairs_are_counted(tmp_path: Path, mode: str) -> None:
    with StubThread({"tokens": ["stub-token"]}) as server:
        run = run_once(singles.contender(mode, 400, server.base_url, plan_in(tmp_path)), 400)
    assert run["pairs"] == 400
    assert float(run["stage_us"]) > 0
    assert ("p99_ms" in run) == ("stream" not in mode)
