"""Whatever the event loop calls by itself is guarded: read from the syntax trees.

`whole.test_planted` puts a bug in each.  An exception that gets to the loop is a line in a log, and whoever waited for
what the callback does waits for ever.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from bulkwriter.guarded import guarded
from tests.test_tidy import MODULES, PACKAGE

AT: Final = {
    "call_soon": 0, "call_soon_threadsafe": 0, "call_later": 1, "call_at": 1, "add_done_callback": 0,
    "add_signal_handler": 1, "add_reader": 1, "add_writer": 1,
}  # fmt: skip
"""By the method that hands something to the loop: which argument is called."""
EXEMPT: Final = {
    ("clocks.py", "step"): "the loop's own method by another name: who calls this one hands it a guarded step",
    ("cli/stub.py", "ended.set"): "asyncio's own event: there is nothing of ours to go wrong",
    (
        "run/run_loop.py",
        "self._turn",
    ): "has guards of its own: a bug in the step ends the run, and all who wait are asked",
    ("run/run_loop.py", "self._ended"): "forgets the task and looks at its error; who waits, waits for the task",
}
THE_STUB: Final = "stub/"
"""A server for tests: its loop closes a connection whose callback raised, and the client has a deadline of its own."""
PROTOCOL: Final = {"data_received", "eof_received", "connection_lost", "connection_made"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def handed_over(tree: ast.Module) -> list[ast.expr]:
    """What is handed to the loop: by a call of one of `AT`, or by a partial of one."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in AT:
            found.append(node.args[AT[node.func.attr]])
        elif node.args and isinstance(node.args[0], ast.Attribute) and node.args[0].attr in AT:
            found.append(node.args[1 + AT[node.args[0].attr]])
    return found


def mentions(tree: ast.Module) -> int:
    return sum(isinstance(node, ast.Attribute) and node.attr in AT for node in ast.walk(tree))


def is_guarded(step: ast.expr, tree: ast.Module) -> bool:
    """Whether it is `guarded(…)`, or an attribute that the same module makes so."""
    if isinstance(step, ast.Call):
        return ast.unparse(step.func) == "guarded"
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
    return any(ast.unparse(node.targets[0]) == ast.unparse(step) and is_guarded(node.value, tree) for node in made)


def unguarded(path: Path) -> list[str]:
    tree = tree_of(path)
    return [ast.unparse(step) for step in handed_over(tree) if not is_guarded(step, tree)]


def test_the_loop_calls_nothing_of_ours_without_its_guard() -> None:
    ours = {path.relative_to(PACKAGE).as_posix(): path for path in MODULES}
    ours = {name: path for name, path in ours.items() if not name.startswith(THE_STUB)}
    steps = [(name, step) for name, path in ours.items() for step in unguarded(path)]
    assert [found for found in steps if found not in EXEMPT] == []
    # Handed on as a value it would not be seen where it is used.
    trees = {name: tree_of(path) for name, path in ours.items()}
    assert [name for name, tree in trees.items() if mentions(tree) != len(handed_over(tree))] == []


def test_every_exemption_is_needed() -> None:
    used = {(path.relative_to(PACKAGE).as_posix(), step) for path in MODULES for step in unguarded(path)}
    assert set(EXEMPT) <= used


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("loop.call_soon(step)", ["step"]),
        ("loop.call_later(1, lambda: step())", ["lambda: step()"]),
        ("loop.call_at(1, guarded(step, crashed), 7)", []),
        ("task.add_done_callback(self._ended)", ["self._ended"]),
        ("self._wake = guarded(step, crashed)\nloop.call_later(1, self._wake)", []),
        ("self._wake = step\nloop.call_later(1, self._wake)", ["self._wake"]),
        ("soon = partial(get_running_loop().call_soon, step)", ["step"]),
        ("soon = partial(get_running_loop().call_soon, guarded(step, crashed))", []),
    ],
)
def test_no_way_to_hand_something_to_the_loop_is_overlooked(code: str, found: list[str], tmp_path: Path) -> None:
    path = tmp_path / "made_up.py"
    path.write_text(code)
    assert unguarded(path) == found


def cannot_raise(step: ast.stmt) -> bool:
    """A `try`, or what keeps a constant or asks for the time."""
    if isinstance(step, ast.Assign):
        return isinstance(step.value, ast.Constant) or ast.unparse(step) == "now = self._clock()"
    return isinstance(step, ast.Try)


def test_a_protocol_of_ours_guards_what_the_loop_calls() -> None:
    called = [
        node
        for path in MODULES
        if "/net/" in path.as_posix()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.name in PROTOCOL
    ]
    assert called
    assert [node.name for node in called if not all(map(cannot_raise, node.body))] == []


def test_an_exception_goes_where_the_guard_says() -> None:
    told: list[Exception] = []
    guarded(int, told.append)("7")
    assert not told
    guarded(int, told.append)("seven")
    assert isinstance(told[0], ValueError)
