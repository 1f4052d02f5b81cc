"""The README keeps its word: its examples run as printed, every command, option, topic, script and exit code in it
exists, and it is short.  So does the manual, and so do the files that the documents point at.

That it names every command is tested in test_tidy.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from benchmarks.__main__ import BENCHMARKS
from bulkwriter import __version__
from bulkwriter.cli import manual, manual_reference
from bulkwriter.cli.ending import MEANING, empty_summary
from bulkwriter.cli.main import COMMANDS, group
from bulkwriter.cli.topics import TOPICS
from tests.conftest import CANARY
from tests.sim.twins import TWINS
from tests.support.cli_process import stub
from tests.support.library import on_loop, truth

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"]
CONSOLE = "\n".join(text for kind, text in BLOCKS if kind == "console")


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found, name
    return found


def flags(name: str) -> set[str]:
    return {flag for param in command(name).params for flag in (*param.opts, *param.secondary_opts)}


def test_the_example_of_the_library_runs_as_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (text for kind, text in BLOCKS if kind == "python")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    main = names["main"]
    assert callable(main)
    with stub() as server:
        on_loop(lambda: main(server.base_url, CANARY, tmp_path), server=server)
        assert truth(server) == (103, 0)
    assert capsys.readouterr().out.startswith("Counts(created=100, ")
    assert (tmp_path / "run.journal").exists()


def test_every_command_line_has_real_commands_and_options() -> None:
    lines = re.findall(r"\bbulkwriter (\w+)([^\n`]*)", CONSOLE)
    assert len(lines) > 5
    for name, rest in lines:
        assert name in COMMANDS, name
        assert set(re.findall(r"--[a-z][\w-]*", rest.partition("#")[0])) <= flags(name), f"{name}{rest}"


def test_every_option_named_in_passing_is_one_of_some_command() -> None:
    known = set().union(*(flags(name) for name in COMMANDS)) | {"--help", "--version"}
    others = {"--count", "--rounds", "--seed", "--long"} | OTHERS  # of scripts and benchmarks
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", README)) <= known | others


MANUAL = "\n".join(
    text for module in (manual, manual_reference) for name, text in vars(module).items() if name.isupper()
)
OTHERS = {"--user", "--unit", "--same-dir", "--data-urlencode", "--install"}
"""Options of other programs that the manual names."""


def test_the_manual_names_what_there_is_and_fits_a_terminal() -> None:
    known = set().union(*(flags(name) for name in COMMANDS)) | OTHERS
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", MANUAL)) <= known
    assert {name for name, _ in re.findall(r"\bbulkwriter ([a-z]+)( |$)", MANUAL)} <= set(COMMANDS)
    named = re.findall(r"\(help ([\w-]+)\)|bulkwriter help ([\w-]+)", MANUAL)
    assert {a or b for a, b in named} <= {*TOPICS, *COMMANDS}
    assert {int(code) for code in re.findall(r"^  exit (\d+)", MANUAL, re.MULTILINE)} <= set(MEANING)
    assert max(map(len, MANUAL.splitlines())) <= 82
    assert MANUAL.isprintable() or not [c for c in MANUAL if not c.isprintable() and c != "\n"]


def test_every_topic_exists() -> None:
    assert set(re.findall(r"bulkwriter help ([\w-]+)", README)) <= {*TOPICS, *COMMANDS}


def test_every_script_exists_and_can_be_run() -> None:
    names = set(re.findall(r"\bscripts/(\w+)", README))
    assert names
    for name in names:
        script = ROOT / "scripts" / name
        assert script.is_file(), name
        assert script.stat().st_mode & 0o111, name


def test_every_exit_code_is_one() -> None:
    told = {int(code) for code in re.findall(r"\bexit (\d+)", README)}
    assert len(told) > 4
    assert told <= set(MEANING)


def test_it_is_short_and_reads_well_in_a_terminal() -> None:
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    words = [word for word in prose.split() if re.search(r"\w", word)]
    assert 900 <= len(words) <= 1400
    assert [line for line in README.splitlines() if len(line) > 130] == []


def test_every_command_of_the_figures_is_one() -> None:
    """The table rows name a script, or a benchmark that `python -m benchmarks` knows."""
    assert {*re.findall(r"python -m benchmarks (\w+)", README)} <= set(BENCHMARKS)
    figures = README.partition("## Figures")[2].partition("\n## ")[0]
    rows = [row for row in figures.splitlines() if row.startswith("|") and "---" not in row]
    assert sum(row.endswith("| command |") for row in rows) == 3
    assert [
        row for row in rows if not re.search(r"\| (command|the same|`(python -m benchmarks |scripts/)\w.*) \|$", row)
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_link_leads_to_a_file(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / document).parent / target).exists(), target


CHANGES = {
    "source format in lines of text", "reply rule", "quota window kind", "third entity", "observer event",
    "CLI option", "metric", "journal format 2", "lane fault", "control law", "which part a worker takes",
    "source format with tables",
}  # fmt: skip
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def files_of_changes() -> dict[str, tuple[str, str]]:
    """The table of CONTRIBUTING: a change, its files in the package, its tests."""
    table = CONTRIBUTING.partition("## Where a change goes")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    return {change: (files, tests) for change, files, tests in rows[2:]}


def test_the_changes_are_all_there_and_most_take_three_files() -> None:
    changes = files_of_changes()
    assert set(changes) == CHANGES
    counts = [len(re.findall(r"\w\.py", files)) for files, _ in changes.values()]
    assert min(counts) > 0
    assert sum(count <= 3 for count in counts) >= 9


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_the_files_of_a_change_are_there(change: str) -> None:
    for cell, folder in zip(files_of_changes()[change], ("bulkwriter", "tests"), strict=True):
        assert cell
        for path, name in re.findall(r"`([\w/]+\.py)`(?: \(`(\w+)`\))?", cell):
            text = (ROOT / folder / path).read_text(encoding="utf-8")
            assert re.search(rf"\b{name}\b", text), f"{name} is not in {path}"
        for path in re.findall(r"\*([\w/]+\.py)\*", cell):
            assert not (ROOT / folder / path).exists(), f"{path} is there already"


def test_scripts_and_tests_that_documents_name_are_there() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for path in re.findall(r"\b(?:tests|scripts|benchmarks|\.ci)/[\w/.]*\w", text):
            assert (ROOT / path).exists(), f"{document}: {path}"
        for path in re.findall(r"`([\w.]+/[\w/]*(?:\.py)?)`", text):  # below tests, the package, or the top
            assert any((folder / path).exists() for folder in (ROOT / "tests", ROOT / "bulkwriter", ROOT)), path


def test_the_table_of_twins_has_each_of_them() -> None:
    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| \d+ \|$", text, re.MULTILINE)
    assert [row.replace("'", " ") for row in rows] == list(TWINS)


def test_the_newest_version_of_the_changelog_is_ours() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## \[(.*?)\]", changelog, re.MULTILINE)
    assert heads[:2] == ["Unreleased", __version__]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)", changelog, re.MULTILINE)) <= kinds


def test_the_manual_names_every_key_of_a_summary() -> None:
    keys = empty_summary(None).to_json()
    assert len(keys) > 15
    assert [key for key in keys if not re.search(rf"\b{key}\b", manual_reference.JSON)] == []


@pytest.mark.slow
def test_the_quick_start_works_as_printed(tmp_path: Path) -> None:
    """The lines that start a stub, make a file and run it, given to a shell; only the port is another."""
    (quick,) = (text for kind, text in BLOCKS if kind == "console" and "stub --port" in text)
    port = re.search(r"--port (\d+)", quick)
    assert port
    with stub() as server:  # only for a port that is free
        free = server.base_url.rpartition(":")[2]
    script = quick.replace(port[1], free).replace("&\n", "& stub=$!\nsleep 1\n") + "\nkill $stub; wait $stub || true\n"
    shell, python = shutil.which("sh"), sys.executable  # PATH's own python need not have our dependencies
    assert shell
    prelude = f'set -eu\nbulkwriter() {{ "{python}" -m bulkwriter "$@"; }}\n'
    # Run from a folder of its own, so that the journal is there; PYTHONPATH finds the package in a source tree.
    done = subprocess.run(
        [shell, "-c", prelude + script.replace("bulkwriter stub", f'"{python}" -m bulkwriter stub')],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "try.csv.journal").exists()
