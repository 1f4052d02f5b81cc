"""Wiring is construction: nobody sets a callback or a back reference on an object that was made elsewhere.

A walk over the syntax trees finds each attribute that is set on something other than `self`.  A module may count in its
own records, so a name that a class of the same module has is passed over.  What is left is in a table, each entry with
its reason; none of them is a callback.

Here is also how much one object may hold.  `adaptive` is left out of both: its mechanism has not been rewritten yet.
So is the stub, which is a server of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "bulkwriter"
LEFT_OUT = {"stub", "adaptive"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in LEFT_OUT)

SET_FROM_OUTSIDE = {
    ("run/sender.py", "attempts"): "a count of `Stats`, on the way of every pair",
    ("run/entrance.py", "seq"): "the row of a `Single`, on the way of every pair that is given by itself",
    ("quota/account.py", "forget"): "a part of the changes of rows, which one exchange fills",
    ("quota/account.py", "short"): "as `forget`",
    ("quota/account.py", "spread_s"): "as `forget`; and of `LedgerRows`, which the account takes over",
    ("core/stops.py", "hint"): "an error on its way to the caller",
    ("errors.py", "__cause__"): "an error on its way to the caller",
    ("run/health.py", "__cause__"): "as in `errors`",
    ("cli/options.py", "title"): "click makes an option before the group that it is shown under is known",
    ("cli/config_files.py", "default_map"): "how click takes the defaults of a command",
    ("net/https.py", "minimum_version"): "how `ssl` takes it",
    ("sources/tables/xml_events.py", "StartElementHandler"): "how expat takes it",
    ("sources/tables/xml_events.py", "EndElementHandler"): "how expat takes it",
    ("sources/tables/xml_events.py", "CharacterDataHandler"): "how expat takes it",
    ("sources/tables/xml_events.py", "StartDoctypeDeclHandler"): "how expat takes it",
    ("sources/tables/xml_events.py", "buffer_text"): "how expat takes it",
    ("sources/tables/xml_events.py", "buffer_size"): "how expat takes it",
    ("sources/tables/spool_child.py", "text_factory"): "how `sqlite3` takes it",
    ("sources/iterables.py", "maxstring"): "how `reprlib` takes it",
    ("sources/iterables.py", "maxother"): "how `reprlib` takes it",
}

MOST_ATTRIBUTES = 14
LARGER = {
    "Lane": "one connection, on the way of every pair, held in slots",
    "ReplyReader": "the replies of one connection, as `Lane`",
}


def stores(tree: ast.AST, *, to_self: bool) -> Iterator[str]:
    """Names of the attributes that are set, on `self` or on something else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            is_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if is_self == to_self:
                yield node.attr


def own_attributes(tree: ast.Module) -> set[str]:
    """Attributes of the classes of a module: those that methods set, and fields."""
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            own.update(stores(node, to_self=True))
            own.update(
                n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
            )
    return own


def set_from_outside(source: str) -> set[str]:
    tree = ast.parse(source)
    return set(stores(tree, to_self=False)) - own_attributes(tree)


def test_no_object_is_wired_after_it_was_made() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name) for path in MODULES for name in set_from_outside(path.read_text())
    }
    assert found == set(SET_FROM_OUTSIDE)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("other.on_stop = self.halt", {"on_stop"}),
        ("self.part.owner = self", {"owner"}),
        ("a.x, b.y = 1, 2", {"x", "y"}),
        ("count.total += 1", {"total"}),
        ("self.mine = 1", set()),
        ("record.mine = 1", set()),  # its own module's
        ("record.field = 1", set()),
    ],
)
def test_the_walk_sees_what_is_set_from_outside(line: str, found: set[str]) -> None:
    source = f"class A:\n    field: int\n    def __init__(self):\n        self.mine = 0\n        {line}\n"
    assert set_from_outside(source) == found


def test_no_object_holds_more_than_a_reader_can_keep_in_mind() -> None:
    larger = {
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and len(set(stores(node, to_self=True))) > MOST_ATTRIBUTES
    }
    assert larger == set(LARGER)
