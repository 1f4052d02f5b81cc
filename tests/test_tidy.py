"""The house rules that a reader relies on: how long things are, what is documented, where a library is named.  Who may
import whom is in `test_imports`.

Each rule is a plain walk over the syntax trees of the tree as it stands; a new file is under the rules without being
named here.  A function has at most 70 lines.  A file is as long as its one concept: a length is no reason to cut it
where two halves must be read together, but above 500 lines it is two things.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections import Counter
from functools import cache
from pathlib import Path

import click
import pytest

from bulkwriter.cli.main import COMMANDS, LazyGroup, group
from bulkwriter.settings import Limits, Settings

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bulkwriter"
MODULES = sorted(PACKAGE.rglob("*.py"))
FILES = [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]

FILE_LINES = 500
FUNCTION_LINES = 70
DOCSTRING_LINES = 5
TRIVIAL_LINES = 20
"""An `__init__.py` shorter than this may do with a docstring of one line, or none."""

ONLY_IN = {
    "aiohttp": {"net", "examples"},
    "sqlite3": {"store", "quota", "sources"},
    "psycopg": {"postgres"},
    "httptools": {"net", "stub"},
    "rich": {"cli"},
    "click": {"cli"},
    "prometheus_client": {"observe", "examples"},
    "opentelemetry": {"observe"},
}

# fmt: off
RUN_OPTIONS = {
    "--base-url", "--journal", "--in-flight", "--rate", "--quota", "--quota-share", "--on-quota", "--account",
    "--ledger", "--existing", "--after-loss", "--doubt-wait", "--late-apply", "--list-lag", "--timeout",
    "--max-attempts", "--max-same-rejections", "--stop-rejected", "--give-up-after", "--min-rate", "--lesson-column",
    "--member-column", "--header-line", "--strict", "--limit", "--dry-run", "--retry", "--token-file", "--username",
    "--password-file", "--totp-file", "--client-id", "--ca-file", "--proxy", "--progress", "--metrics-file", "--json",
    "--report", "--log-format", "--log-file", "--on-end", "--verbose", "-v", "--yes", "--profile",
    "--sheet", "--hidden-rows", "--query", "--parts", "--load-only", "--on", "--workers", "--lease",
}
# fmt: on


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(path: Path) -> str:
    """The folder of the package that a module belongs to, or the module's own name at the top."""
    inside = path.relative_to(PACKAGE).parts
    return inside[0] if len(inside) > 1 else path.stem


def imports(path: Path) -> set[str]:
    """Absolute dotted names of all that a module imports, wherever in it; ours start with `bulkwriter.`."""
    package = ("bulkwriter", *path.relative_to(PACKAGE).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def imported_parts(path: Path) -> set[str]:
    """Our own folders and top modules that a module imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("bulkwriter.")}


def test_a_file_is_short_and_so_are_its_functions() -> None:
    """Too long: split it by sense."""
    files = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: lines for name, lines in files.items() if lines > FILE_LINES} == {}
    functions = {
        f"{name_of(path)}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > FUNCTION_LINES} == {}


def test_a_module_says_what_it_is() -> None:
    """What it does, its invariant, what it does not do."""

    def is_trivial(path: Path) -> bool:
        return path.name == "__init__.py" and path.read_text(encoding="utf-8").count("\n") < TRIVIAL_LINES

    said = {name_of(path): ast.get_docstring(tree(path)) or "" for path in MODULES if not is_trivial(path)}
    assert [name for name, docstring in said.items() if docstring.count("\n") + 1 < DOCSTRING_LINES] == []


def types_in(path: Path) -> set[str]:
    """Names of classes and of aliases for types at the top of a module."""
    found = {node.name for node in tree(path).body if isinstance(node, ast.ClassDef)}
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found |= set(re.findall(r"^[A-Z][a-z]\w+$", node.targets[0].id))
    return found


def test_the_name_of_a_type_means_one_thing() -> None:
    counts = Counter(name for path in MODULES for name in types_in(path))
    assert counts["Pairs"] == counts["GetPage"] == 1, "classes and aliases are both seen"
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=name_of)
def test_a_folder_says_what_is_where_in_it(path: Path) -> None:
    said = set(re.findall(r"[a-z_]+", path.read_text(encoding="utf-8").lower()))
    here = {p.stem for p in path.parent.glob("*.py")} | {p.parent.name for p in path.parent.glob("*/__init__.py")}
    assert here - {"__init__", "__main__"} <= said


def test_nothing_is_left_for_later() -> None:
    """Do it, or open an issue."""
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    others = [path for path in FILES if path != Path(__file__)]
    assert [name_of(path) for path in others if later.search(path.read_text(encoding="utf-8"))] == []


def test_only_the_command_line_prints() -> None:
    calls = [
        (name_of(path), node.lineno)
        for path in MODULES
        if part_of(path) != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_named_only_in_its_house(library: str) -> None:
    named = [path for path in MODULES if library in {name.split(".")[0] for name in imports(path)}]
    assert [name_of(path) for path in named if part_of(path) not in ONLY_IN[library]] == []


@pytest.mark.parametrize("holder", [Settings, Limits])
def test_every_setting_says_why(holder: type) -> None:
    for field in dataclasses.fields(holder):
        assert field.metadata.get("why"), field.name


def flags(command: click.Command) -> set[str]:
    return {flag for p in command.params if isinstance(p, click.Option) for flag in (*p.opts, *p.secondary_opts)}


def commands() -> dict[str, click.Command]:
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def test_run_has_exactly_the_documented_options() -> None:
    assert flags(commands()["run"]) == RUN_OPTIONS


def test_every_command_and_option_explains_itself() -> None:
    for name, command in commands().items():
        assert command.help, name
        for p in command.params:
            assert not isinstance(p, click.Option) or p.hidden or p.help, f"{name} {p.name}"


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="no README yet")
def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"bulkwriter {name}" in readme, name
