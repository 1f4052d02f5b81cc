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
from benchmarks.turns import Findings, Plan


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


def turn_of(our_us: float, *, loop_us: float = 80.0) -> gate.Turn:
    """Starts of 0.5 and 0.25 s of CPU, and what each pair costs."""

    def run(cpu_s: float, pairs: int) -> Row:
        return {"cpu_s": cpu_s, "pairs": pairs}

    return {
        "bulkwriter, start": run(0.5, 1),
        "bulkwriter": run(0.5 + our_us / 100, 10_001),
        "ClientSession loop, start": run(0.25, 1),
        "ClientSession loop": run(0.25 + loop_us / 200, 5_001),
    }


def test_the_gate_divides_what_a_pair_costs_without_the_start() -> None:
    found = gate.ratios_of([turn_of(20.0), turn_of(20.0)])
    assert found == {"pair": pytest.approx(20 / 80), "start": pytest.approx(2.0)}
    assert [bar.name for bar in gate.broken([gate.Bar("pair", "", 0.2), gate.Bar("start", "", 2.1)], found)] == ["pair"]


@pytest.mark.parametrize(
    ("costs_us", "turns", "holds"),
    [
        ([20.0] * 9, 3, True),
        ([90.0, 20.0, 20.0, 20.0], 3, True),  # a neighbour in one turn
        ([90.0, 90.0, 20.0, 20.0, 20.0, 20.0], 5, True),  # in two: more turns are needed, and taken
        ([26.0] * 7, 7, False),  # dearer by 30 %, which is the same in every turn
    ],
)
def test_the_gate_waits_out_neighbours_but_no_regression(costs_us: list[float], turns: int, holds: bool) -> None:
    said: list[str] = []
    bars = [gate.Bar("pair", "", 0.3), gate.Bar("start", "", 2.1)]
    assert gate.judge(bars, map(turn_of, costs_us), say=said.append) is holds
    assert sum(line.startswith("  turn") for line in said) == turns
    assert any(line.startswith("broken: pair") for line in said) is not holds


def test_every_bar_has_room_and_a_reason() -> None:
    told = tomllib.loads(gate.BARS.read_text(encoding="utf-8"))
    for bar in told["bar"]:
        assert bar["meaning"]
        for entry in bar["history"]:
            assert entry["measured"] < entry["most"] <= 1.5 * entry["measured"]
            assert entry["on"]
            assert len(entry["why"]) > 10
    assert {bar.name for bar in gate.read_bars()} == {"pair", "start"}
