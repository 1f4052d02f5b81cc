"""Who may stand on whom: one table for the whole package, at any depth, read from the syntax trees.

A part is a folder of the package, or a module at its top.  The table is exact: a part that imports what it may not, a
permission that nobody uses, and a part that the table does not have are each a failure, so that it stays the map that a
newcomer can trust.  In short: what decides knows the nouns alone; `net` and `store` know neither each other nor
anything that decides; nobody knows `run` but `writer`, `wiring` and `cli`.  Pure parts name nothing that reaches a
clock, a disk, a network or chance of its own; that the rule looks into every file of theirs is shown by planting such
an import in each.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import test_tidy
from .test_tidy import MODULES, PACKAGE, imported_parts, imports, name_of, part_of

NOUNS = {"model", "rows", "errors", "events", "metrics", "settings", "wording"}
MAY_USE: dict[str, set[str]] = {
    # the nouns
    "model": set(),
    "rows": {"model"},
    "wording": set(),
    "errors": {"wording"},
    "events": {"metrics"},
    "metrics": set(),
    "entities": set(),
    "settings": {"clocks", "errors", "postgres", "wording"},
    "stored_sign_in": {"settings", "shell"},
    # what time it is
    "clocks": {"store"},
    # how numbers, and what comes from outside, are shown
    "amounts": set(),
    "shell": set(),
    # how the event loop may call what is ours, and what no cancellation breaks in two
    "guarded": set(),
    "shielded": set(),
    "threads": {"errors", "guarded"},
    # decide, talk, remember, read
    "core": {"amounts", "errors", "metrics", "model", "rows", "settings", "wording"},
    "adaptive": {"model"},
    "net": {
        "__version__",
        "amounts",
        "clocks",
        "entities",
        "errors",
        "guarded",
        "model",
        "settings",
        "shell",
        "shielded",
        "stored_sign_in",
    },
    "store": {"__version__", "entities", "errors", "guarded", "model", "rows", "stored_sign_in", "threads"},
    "sources": {"entities", "errors", "guarded", "model", "shell", "threads", "wording"},
    # look, wait and act
    "quota": {*NOUNS, "clocks", "core", "guarded", "net", "postgres", "store", "threads"},
    "postgres": {
        "__version__",
        "core",
        "entities",
        "errors",
        "model",
        "quota",
        "sources",
        "store",
        "threads",
    },
    "listing": {*NOUNS, "clocks", "core", "entities", "net"},
    "run": {
        *NOUNS,
        "adaptive",
        "clocks",
        "core",
        "entities",
        "listing",
        "net",
        "quota",
        "shielded",
        "sources",
        "store",
        "threads",
    },
    # put together
    "server_client": {
        "clocks",
        "core",
        "entities",
        "events",
        "listing",
        "model",
        "net",
        "postgres",
        "quota",
        "settings",
        "shielded",
        "store",
        "stored_sign_in",
    },
    "wiring": {
        "clocks",
        "core",
        "entities",
        "errors",
        "events",
        "guarded",
        "model",
        "net",
        "postgres",
        "quota",
        "run",
        "server_client",
        "settings",
        "shielded",
        "store",
    },
    # e-mails and titles to ids
    "resolve": {*NOUNS, "amounts", "clocks", "entities", "listing", "net", "sources", "store"},
    # verify and undo
    "verify": {*NOUNS, "clocks", "core", "listing", "net", "quota", "server_client", "store"},
    # show the writer to those who run a service
    "observe": {"__version__", "amounts", "errors", "events", "metrics", "model"},
    # the page of a run, from its journal
    "report": {"amounts", "model", "rows", "shell", "store"},
    # the library's face
    "writer": {*NOUNS, "clocks", "entities", "observe", "run", "shielded", "sources", "wiring"},
    "__init__": {*NOUNS, "sources", "writer"},
    # on top
    "cli": {
        *NOUNS,
        "__version__",
        "amounts",
        "core",
        "entities",
        "guarded",
        "listing",
        "observe",
        "on_ray",
        "postgres",
        "quota",
        "report",
        "resolve",
        "run",
        "server_client",
        "shell",
        "sources",
        "store",
        "stored_sign_in",
        "stub",
        "threads",
        "verify",
        "wiring",
        "writer",
    },
    # a job's workers on a cluster: a process that speaks with it, and the command line's own worker on its nodes
    "on_ray": {
        "__main__",
        "__version__",
        "cli",
        "entities",
        "errors",
        "model",
        "postgres",
        "settings",
        "sources",
        "store",
    },
    "stub": {"clocks", "errors", "model", "settings"},
    "examples": {
        "BulkWriter",
        "BulkwriterError",
        "Limits",
        "Pair",
        "Settings",
        "State",
        "TryLater",
        "UsageError",
        "observe",
    },
    "__main__": {"cli"},
}
PURE_QUOTA = {
    f"quota/{name}"
    for name in (
        "account",
        "exchange",
        "forecast",
        "leases",
        "others",
        "short",
        "throttles",
        "windows",
    )
}
"""What decides how much may be spent."""
PURE_RESOLVE = {
    f"resolve/{name}"
    for name in ("directory", "matching", "names", "normal", "outputs", "records", "ways", "wishes")
}  # fmt: skip
"""What decides which ids a row means."""
PURE = {
    "adaptive",
    "amounts",
    "core",
    "entities",
    "errors",
    "events",
    "metrics",
    "model",
    "rows",
    "wording",
    *PURE_QUOTA,
    *PURE_RESOLVE,
    "postgres/address",
    "postgres/clock",
    "postgres/times",
}
"""Parts that decide, single files of a part among them, and the nouns: values in, values out."""
IMPURE = {
    "aiohttp", "anyio", "asyncio", "logging", "multiprocessing", "os", "pathlib", "secrets", "select", "socket",
    "sqlite3", "subprocess", "sys", "threading", "time", "uvloop",
}  # fmt: skip
"""What a module that decides without clock, disk, network and chance of its own does not name."""


def pure_files(package: Path) -> list[Path]:
    def is_pure(path: Path) -> bool:
        inside = path.relative_to(package).with_suffix("")
        return inside.parts[0] in PURE or inside.as_posix() in PURE

    return [path for path in sorted(package.rglob("*.py")) if is_pure(path)]


def impure_names(path: Path) -> set[str]:
    return IMPURE & {name.split(".")[0] for name in imports(path)}


def test_a_module_uses_only_what_its_part_may() -> None:
    found = {name_of(path): imported_parts(path) - {part_of(path)} - MAY_USE[part_of(path)] for path in MODULES}
    assert {name: parts for name, parts in found.items() if parts} == {}


@pytest.mark.parametrize("part", MAY_USE)
def test_the_table_allows_nothing_that_nobody_uses(part: str) -> None:
    used = set().union(*(imported_parts(path) for path in MODULES if part_of(path) == part))
    assert MAY_USE[part] - {part} - used <= NOUNS | {"__version__"}


@pytest.mark.parametrize("name", sorted(PURE_QUOTA))
def test_what_decides_of_quotas_knows_nouns_and_its_like(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    assert imported_parts(path) <= {*NOUNS, "quota"}
    named = {"/".join(name.split(".")[1:3]) for name in imports(path) if name.startswith("bulkwriter.quota.")}
    assert named <= PURE_QUOTA


def test_what_decides_touches_nothing_outside() -> None:
    assert {name_of(path): names for path in pure_files(PACKAGE) if (names := impure_names(path))} == {}


def test_an_impure_import_is_seen_in_every_pure_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "bulkwriter"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(test_tidy, "PACKAGE", copy)
    files = pure_files(copy)
    assert {path.relative_to(copy) for path in files} == {path.relative_to(PACKAGE) for path in pure_files(PACKAGE)}
    assert {copy / "adaptive" / "hold.py", copy / "quota" / "windows.py"} <= set(files)
    for path in files:
        path.write_text(path.read_text(encoding="utf-8") + "\n\ndef planted() -> None:\n    import asyncio\n")
        assert impure_names(path) == {"asyncio"}, path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from . import retry", {"core"}),
        ("from .retry import Backoff", {"core"}),
        ("from .. import store", {"store"}),
        ("from ..store.journal import Journal", {"store"}),
        ("import bulkwriter.net.pool", {"net"}),
        ("def f() -> None:\n    from ..run import engine", {"run"}),
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
    assert imported_parts(path) & {"core", "net", "store", "run"} == found


ON_USE = {
    "aiohttp": "https: TLS, name look-up, proxies",
    "aiolimiter": "--rate",
    "importlib.metadata": "aiolimiter imports it",
    "statistics": "the second throttle",
    "tomllib": "a configuration file",
    "rich": "a live display",
    "psycopg": "a URL of PostgreSQL",
    "bulkwriter.postgres.connect": "as psycopg",
    "bulkwriter.observe.metrics_file": "--metrics-file",
    "bulkwriter.net.dial_tls": "as aiohttp",
    "bulkwriter.net.https": "https",
    "bulkwriter.sources.tables": "a spreadsheet or a database",
    "bulkwriter.resolve": "resolve",
    "bulkwriter.stub": "stub and demo",
    "bulkwriter.verify": "verify and undo",
}
"""Modules that a plain run must not load, and what they are for.  aiohttp alone is as much as the rest of a start."""


def loaded_by(folder: Path, *args: str, code: int) -> set[str]:
    """The modules that `run` with these arguments loads."""
    (folder / "p.csv").write_text("CourseLessonId,CourseMemberId\n1,1\n", encoding="ascii")
    command = [sys.executable, "-X", "importtime", "-m", "bulkwriter", "run", str(folder / "p.csv"), *args]
    env = {**os.environ, "BULKWRITER_TOKEN": "t" * 9, "BULKWRITER_CONFIG": "none"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=env, check=False, cwd=folder)
    assert done.returncode == code, done.stderr[-2000:]
    return {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.slow
def test_a_plain_run_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """Up to the first request, which nobody takes: from there on nothing new is imported but what `ON_USE` names."""
    options = ("--base-url=http://127.0.0.1:1", "--existing=skip", "--give-up-after=0.1")
    loaded = loaded_by(tmp_path, *options, code=75)
    assert {"bulkwriter.run.engine", "uvloop", "orjson"} <= loaded
    assert not loaded & set(ON_USE)


@pytest.mark.slow
def test_a_dry_run_for_https_opens_nothing_and_loads_no_aiohttp(tmp_path: Path) -> None:
    loaded = loaded_by(tmp_path, "--dry-run", "--base-url=https://api.test", "--proxy=http://p:1", code=0)
    assert "bulkwriter.net.https" in loaded
    assert not loaded & {"aiohttp", "bulkwriter.net.dial_tls"}
