"""What benchmarks leave behind: results that are kept, compared and drawn, and the gate's bars.

No figure is judged here, and nothing is measured.
"""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command_line
from benchmarks import gate, machine, plot, record
from benchmarks.children import Cores
from benchmarks.figures import Row
from benchmarks.turns import Contender, Findings, Plan


def words(text: str) -> str:
    """Text without its columns."""
    return " ".join(text.split())


def made(folder: Path, *, cpu_us: float = 10.0, **other: Any) -> record.Result:
    plan = Plan(folder=folder, cores=Cores())
    rows: list[Row] = [
        {"name": "bulkwriter", "cpu_us": cpu_us, "pairs_per_s": 50_000.0},
        {"name": "<slow>", "cpu_us": 90.0},
    ]
    found = Findings(runs=[*rows], rows=rows, keys=("cpu_us", "pairs_per_s"), ratios={"ours / theirs": 0.11})
    return {**record.result_of("peers", plan, found, record.where_and_when(plan)), **other}


def test_a_result_is_kept_whole_and_shown(tmp_path: Path) -> None:
    result = made(tmp_path)
    assert record.load(record.save(result, tmp_path / "results")) == result
    assert record.newest("peers", tmp_path / "results") is not None
    assert "ours / theirs 0.11" in words(record.shown(result))


def test_two_results_of_one_machine_stand_side_by_side(tmp_path: Path) -> None:
    text = record.compared(made(tmp_path), made(tmp_path, cpu_us=15.0))
    assert "bulkwriter CPU a pair, µs 10.0 15.0 1.50 worse" in words(text)


def test_a_bound_on_a_comparison_names_each_figure_that_breaks_it(tmp_path: Path) -> None:
    base, head = made(tmp_path), made(tmp_path, cpu_us=15.0)
    assert record.worse_than(base, head, 1.6) == []
    assert record.worse_than(base, head, 1.4) == [
        "bulkwriter, CPU a pair, µs: 10.0 -> 15.0, 1.50 times as bad, allowed is 1.4"
    ]
    assert record.worse_than(head, base, 1.0) == [], "better is no step back"


def test_more_pairs_a_second_are_better(tmp_path: Path) -> None:
    base, head = made(tmp_path), made(tmp_path)
    head["rows"][0]["pairs_per_s"] = 25_000.0
    assert len(record.worse_than(base, head, 1.9)) == 1
    assert record.worse_than(base, head, 2.1) == record.worse_than(head, base, 1.0) == []


def test_folders_are_compared_by_the_newest_result_of_each_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    record.save(made(tmp_path, at="2026-01-01T00:00:00Z"), a)
    record.save(made(tmp_path, at="2026-01-02T00:00:00Z", cpu_us=9.0), a)
    record.save(made(tmp_path, at="2026-01-01T00:00:00Z", cpu_us=30.0), b)
    assert command_line.main(["compare", str(a), str(b)]) == 0
    assert command_line.main(["compare", str(a), str(b), "--most-worse", "1.15"]) == 1
    assert "worse: bulkwriter, CPU a pair, µs: 9.0 -> 30.0" in capsys.readouterr().err
    assert command_line.main(["compare", str(a), str(tmp_path)]) == 1, "nothing to compare with"


def test_figures_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    other = made(tmp_path, machine={**machine.machine(), "machine_id": "another"})
    with pytest.raises(record.NotComparable, match="different machines"):
        record.compared(made(tmp_path), other)
    with pytest.raises(record.NotComparable, match="different things"):
        record.compared(made(tmp_path), made(tmp_path, benchmark="scale"))


def test_this_machine_has_a_name_and_a_disk(tmp_path: Path) -> None:
    assert machine.machine() == machine.machine()
    assert isinstance(machine.file_system(tmp_path), str)
    assert machine.versions()["orjson"]


def test_a_plot_is_an_svg_with_everything_escaped(tmp_path: Path) -> None:
    source = record.save(made(tmp_path), tmp_path)
    text = plot.draw(source, None).read_text(encoding="utf-8")
    found = ET.fromstring(text)
    assert [bar.get("class") for bar in found.iter("{http://www.w3.org/2000/svg}rect")] == ["ours"]
    assert "50,000 a second · 10.0 µs CPU" in text
    whole = plot.svg({**made(tmp_path), "benchmark": "scale"})
    assert "&lt;slow&gt;" in whole


def test_every_benchmark_can_be_drawn() -> None:
    assert {*plot.CHARTS, "control"} == set(command_line.BENCHMARKS)  # which is a heat map


SIZES = {gate.OURS: 10_001, gate.LOOP: 5_001}
BARS = [gate.Bar("pair", "instructions", "", 0.3), gate.Bar("start", "instructions", "", 2.1)]


def turn_of(our_us: float, *, loop_us: float = 80.0) -> gate.Turn:
    """Starts that cost 0.5 and 0.25, and what each pair costs."""
    return {
        "bulkwriter, start": 0.5,
        "bulkwriter": 0.5 + our_us / 100,
        "ClientSession loop, start": 0.25,
        "ClientSession loop": 0.25 + loop_us / 200,
    }


def test_the_gate_divides_what_a_pair_costs_without_the_start() -> None:
    found = gate.ratios_of([turn_of(20.0), turn_of(24.0)], SIZES)
    assert found == {"pair": pytest.approx(20 / 80), "start": pytest.approx(2.0)}
    assert [bar.name for bar in gate.broken([gate.Bar("pair", "cpu", "", 0.2), *BARS[1:]], found)] == ["pair"]


@pytest.mark.parametrize(
    ("costs_us", "turns", "holds"),
    [
        ([20.0] * 9, 1, True),
        ([90.0, 20.0, 20.0, 20.0], 2, True),  # a neighbour in one turn
        ([90.0, 90.0, 90.0, 20.0], 4, True),  # in three: more turns are needed, and taken
        ([26.0] * 4, 4, False),  # dearer by 30 %, which is the same in every turn
    ],
)
def test_the_gate_waits_out_neighbours_but_no_regression(costs_us: list[float], turns: int, holds: bool) -> None:
    said: list[str] = []
    assert gate.judge(BARS, map(turn_of, costs_us), SIZES, say=said.append) is holds
    assert sum(line.startswith("  turn") for line in said) == turns
    assert any(line.startswith("broken: pair") for line in said) is not holds


def test_instructions_of_the_loop_are_counted_once() -> None:
    asked: list[tuple[str, int]] = []

    def cost_of(contender: Contender, pairs: int, kind: gate.Kind) -> float:
        asked.append((contender.name, pairs))
        return float(pairs)

    ours, loop = (
        Contender(name=name, pairs=9, argv=lambda count: [], cores=frozenset(), read=lambda ended: {}) for name in "ab"
    )
    turns = list(gate.turns_for(100.0, (ours, loop), "instructions", cost=cost_of))
    assert len(turns) == gate.MOST_TURNS["instructions"]
    assert asked[:6] == [("a", 1), ("a", 9), ("b", 1), ("b", 9), ("a", 1), ("a", 9)]
    assert asked.count(("b", 9)) == 1
    assert all(turn.keys() == turns[0].keys() for turn in turns)


def test_every_bar_has_room_and_a_reason() -> None:
    told = tomllib.loads(gate.BARS.read_text(encoding="utf-8"))
    for bar in told["bar"]:
        assert bar["meaning"]
        for entry in bar["history"]:
            assert entry["measured"] < entry["most"] <= 1.5 * entry["measured"]
            assert entry["on"]
            assert len(entry["why"]) > 10
    kinds: tuple[gate.Kind, ...] = ("instructions", "cpu")
    for kind in kinds:
        assert {bar.name for bar in gate.read_bars(kind)} == {"pair", "start"}


def test_a_step_back_of_a_quarter_breaks_the_bars_on_every_machine_in_the_table() -> None:
    told = tomllib.loads(gate.BARS.read_text(encoding="utf-8"))
    for measured in told["machine"]:
        for bar in gate.read_bars("instructions"):
            least, most = measured[bar.name]
            assert 1.02 * most < bar.most < 1.25 * least, (measured["processor"], bar.name)
