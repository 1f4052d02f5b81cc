"""A result as a file: JSON with where, when and how it was made, every raw run, and the medians.

    benchmark, format   its name, and 1
    at, commit, is_dirty, versions, machine, load_before, journal_on    where and when; see machine.py
    settings            what was asked for, and what the benchmark chose
    rows                one a contender: medians of its runs         ratios   what is claimed, from the rows or turns
    spreads             least and most of a ratio over the turns, where it was taken turn by turn
    runs                every run, in order, starts first            notes    what a reader must know

Names are BENCHMARK-TIME-COMMIT.json, so that they sort by time.  `compare` reads two of them and refuses to put figures
of different machines side by side.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import machine
from .figures import FIGURES, Row, row_table, table
from .turns import Findings, Plan

RESULTS = Path(__file__).parent / "results"
FORMAT = 1

Result = dict[str, Any]


class NotComparable(Exception):
    """Two results that say nothing about each other."""


def where_and_when(plan: Plan) -> dict[str, Any]:
    """To be asked before a benchmark begins: the load is then everybody else's."""
    commit, is_dirty = machine.commit()
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit,
        "is_dirty": is_dirty,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "load_before": machine.load(),
        "journal_on": machine.file_system(plan.folder),
    }


def result_of(name: str, plan: Plan, found: Findings, made: dict[str, Any]) -> Result:
    return {
        "benchmark": name,
        "format": FORMAT,
        **made,
        "settings": {**plan.settings(), **found.settings},
        "keys": list(found.keys),
        "rows": found.rows,
        "ratios": found.ratios,
        "spreads": found.spreads,
        "notes": found.notes,
        "runs": found.runs,
    }


def save(result: Result, folder: Path = RESULTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stamp = result["at"].replace("-", "").replace(":", "")
    path = folder / f"{result['benchmark']}-{stamp}-{result['commit'][:8] or 'nogit'}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Result:
    result: Result = json.loads(path.read_text(encoding="utf-8"))
    if result.get("format") != FORMAT:
        raise NotComparable(f"{path} is not a result of this format")
    return result


def newest(name: str, folder: Path = RESULTS) -> Path | None:
    """The latest result of a benchmark, or None."""
    return max(folder.glob(f"{name}-*.json"), default=None)


def to_compare(a: Path, b: Path) -> list[tuple[Result, Result]]:
    """The results to compare: two files, or the newest of each benchmark that both folders have."""
    if a.is_dir() != b.is_dir():
        raise NotComparable(f"{a} and {b} must be two results or two folders")
    if not a.is_dir():
        return [(load(a), load(b))]
    names = [{path.name.split("-")[0] for path in folder.glob("*.json")} for folder in (a, b)]
    found = [(newest(name, a), newest(name, b)) for name in sorted(names[0] & names[1])]
    if not found:
        raise NotComparable(f"{a} and {b} have no result of the same benchmark")
    return [(load(one), load(other)) for one, other in found if one and other]


def shown(result: Result) -> str:
    """A result for people."""
    made = f"{result['at']}, commit {result['commit'] or '?'}{' with changes' if result['is_dirty'] else ''}"
    where = result["machine"]
    lines = [
        f"{result['benchmark']}: {made}, {where['processor']}, {where['cores']} cores, load {result['load_before']}",
        "",
        row_table(result["rows"], result["keys"]),
    ]
    spreads = result.get("spreads", {})
    ratios = [
        [name, f"{value:.2f}", " to ".join(f"{end:.2f}" for end in spreads.get(name, ()))]
        for name, value in result["ratios"].items()
        if value is not None
    ]
    if ratios:
        lines += ["", table(["ratio", "median", "of all turns"], ratios)]
    lines += [f"note: {note}" for note in result["notes"]]
    return "\n".join(lines)


def compared(a: Result, b: Result) -> str:
    """Two results side by side.  Raises `NotComparable`."""
    if a["benchmark"] != b["benchmark"]:
        raise NotComparable(f"{a['benchmark']} and {b['benchmark']} measure different things")
    if a["machine"]["machine_id"] != b["machine"]["machine_id"]:
        raise NotComparable(
            f"made on different machines ({told(a)}; {told(b)}): such figures say nothing about each other"
        )
    lines = [f"A: {told(a)}", f"B: {told(b)}", *differences(a, b), ""]
    theirs = {row["name"]: row for row in b["rows"]}
    rows = []
    for row in a["rows"]:
        rows += figure_rows(row, theirs.get(row["name"], {}), a["keys"])
    lines.append(table(["", "figure", "A", "B", "B / A", ""], rows))
    return "\n".join(lines)


def worse_than(a: Result, b: Result, most: float) -> list[str]:
    """The figures of `b` that are more than `most` times as bad as those of `a`, in words."""
    theirs = {row["name"]: row for row in b["rows"]}
    found = []
    for row in a["rows"]:
        for key in a["keys"]:
            one, other, figure = row.get(key), theirs.get(row["name"], {}).get(key), FIGURES[key]
            if not figure.better or not isinstance(one, int | float) or not isinstance(other, int | float):
                continue
            low, high = (one, other) if figure.better == "less" else (other, one)
            if high > most * low:
                ratio = f"{high / low:.2f} times as bad" if low else "was zero"
                found.append(
                    f"{row['name']}, {figure.heading}: {figure.text(one)} -> {figure.text(other)}, {ratio}, "
                    f"allowed is {most:g}"
                )
    return found


def figure_rows(a: Row, b: Row, keys: list[str]) -> list[list[str]]:
    rows = []
    for key in keys:
        one, other, figure = a.get(key), b.get(key), FIGURES[key]
        if not figure.better or not isinstance(one, int | float) or not isinstance(other, int | float):
            continue
        change = other / one if one else 1.0
        is_better = (change < 1) == (figure.better == "less")
        verdict = "" if 0.97 < change < 1.03 else "better" if is_better else "worse"
        rows.append([str(a["name"]), figure.heading, figure.text(one), figure.text(other), f"{change:.2f}", verdict])
    return rows


def told(result: Result) -> str:
    where = result["machine"]
    return f"{result['at']} at {result['commit'] or '?'} on {where['processor']}, {where['cores']} cores"


def differences(a: Result, b: Result) -> list[str]:
    """What was not the same: settings and versions."""
    found = []
    for part in ("settings", "versions"):
        for key in sorted(a[part].keys() | b[part].keys()):
            one, other = a[part].get(key), b[part].get(key)
            found += [f"{key}: A {one}, B {other}"] if one != other else []
    if a["journal_on"] != b["journal_on"]:
        found.append(f"journal on: A {a['journal_on']}, B {b['journal_on']}")
    return found
