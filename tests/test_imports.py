"""Who may stand on whom, beside what `test_tidy` says of core, net and store: nouns below, stub on top.

Imports are read from the syntax trees, wherever in a module they are; the reader itself is tested on a made-up file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from . import test_tidy
from .test_tidy import MODULES, PACKAGE, imported_parts, imports, name_of, part_of

NOUNS: dict[str, set[str]] = {"model": set(), "errors": set(), "events": set(), "settings": {"errors"}}
"""The shared words, and which other of ours each may use."""
OUTSIDE = {
    "asyncio",
    "anyio",
    "time",
    "socket",
    "os",
    "pathlib",
    "subprocess",
    "threading",
    "logging",
    "sys",
    "secrets",
}
"""What a module that decides without clock, disk, network and chance of its own does not need."""
BELOW_STUB = ("core", "net", "store", "engine", "reconcile", "sources")


@pytest.mark.parametrize("noun", NOUNS)
def test_the_nouns_stand_on_nothing(noun: str) -> None:
    assert imported_parts(PACKAGE / f"{noun}.py") <= NOUNS[noun]


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=name_of)
def test_core_touches_nothing_outside(path: Path) -> None:
    assert not OUTSIDE & {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in BELOW_STUB], ids=name_of)
def test_nothing_that_talks_to_a_server_knows_the_stub(path: Path) -> None:
    assert "stub" not in imported_parts(path)


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in ("net", "store")], ids=name_of)
def test_net_and_store_know_neither_each_other_nor_who_uses_them(path: Path) -> None:
    assert imported_parts(path) <= {part_of(path), "model", "errors", "settings", "__version__"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from . import retry", {"core"}),
        ("from .retry import Backoff", {"core"}),
        ("from .. import store", {"store"}),
        ("from ..store.journal import Journal", {"store"}),
        ("import bulkwriter.net.pool", {"net"}),
        ("def f() -> None:\n    from ..engine import engine", {"engine"}),
        ("import orjson", set()),
    ],
)
def test_no_way_to_import_is_overlooked(
    line: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "core" / "made_up.py"
    path.parent.mkdir()
    path.write_text(line)
    monkeypatch.setattr(test_tidy, "PACKAGE", tmp_path)
    assert imported_parts(path) & {"core", "net", "store", "engine"} == found
