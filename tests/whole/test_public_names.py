"""Every public name and member is documented, is on the page of `help api`, and has a type that each checker knows.

What is public: the names that `bulkwriter` exports, the events, and the observers.  pyright looks at the types from
outside, as a user's checker does.  It takes every module without a leading underscore for public, so its report is
filtered to these names and their members.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import Exit, Settings, State
from bulkwriter.cli.api_page import methods_of, page, public_names
from bulkwriter.settings import Limits

PUBLIC = dict(public_names())
PAGE = page(80)
PYRIGHT_S = 300.0
"""pyright needs 16 s of CPU for the package, and a while to come from npm the first time."""


def test_what_is_public_is_known() -> None:
    assert {"BulkWriter", "Settings", "State", "open_source", "events.Throttled", "observe.OpenTelemetry"} <= set(
        PUBLIC
    )
    assert all(found is not None for found in PUBLIC.values()), "the extras are installed here"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_documented_and_on_the_page(name: str) -> None:
    found = PUBLIC[name]
    own = found.__doc__ or ""
    assert own.strip(), "no docstring"
    assert not own.startswith(f"{found.__name__}("), "dataclass made this one"
    assert re.search(rf"^{re.escape(name)}\b", PAGE, re.MULTILINE)


MEMBERS = [
    (name, member) for name, found in PUBLIC.items() if inspect.isclass(found) for member, _ in methods_of(found)
]


@pytest.mark.parametrize(("name", "member"), MEMBERS, ids=".".join)
def test_a_member_is_documented_and_on_the_page(name: str, member: str) -> None:
    found = vars(PUBLIC[name])[member]
    assert (inspect.getdoc(found) or "").strip(), "no docstring"
    assert re.search(rf"^    (async )?\.{member}[(:]", PAGE, re.MULTILINE)


def fields_of(found: Any) -> list[str]:
    if dataclasses.is_dataclass(found):
        return [f.name for f in dataclasses.fields(found)]
    return list(getattr(found, "_fields", ()))


@pytest.mark.parametrize("name", [n for n, found in PUBLIC.items() if inspect.isclass(found) and fields_of(found)])
def test_each_field_is_explained(name: str) -> None:
    """In the docstring of its class, or by its reason where it is a setting."""
    found = PUBLIC[name]
    if found in (Settings, Limits):
        assert all(f.metadata["why"] for f in dataclasses.fields(found))
        return
    said = inspect.getdoc(found) or ""
    missing = [field for field in fields_of(found) if not re.search(rf"`{field}`", said)]
    assert missing == []


@pytest.mark.parametrize("found", [State, Exit])
def test_each_member_of_an_enumeration_is_explained(found: type[enum.Enum]) -> None:
    said = inspect.getdoc(found) or ""
    assert [one.name for one in found if f"`{one.name}`" not in said] == []


def test_a_setting_has_unit_range_default_and_reason_on_the_page() -> None:
    assert re.search(
        r"in_flight +most requests in flight at once;[^[]+\[1 to\s+4,096\s+requests,\s+default\s+64\]", PAGE
    )


@pytest.mark.parametrize("width", [60, 80, 110])
def test_prose_keeps_to_the_width(width: int) -> None:
    wide = [line for line in page(width).splitlines() if len(line) > width and line.count("  ") < 4]
    assert all(" " not in line.strip() or re.search(r"[(:=`]", line) for line in wide), wide


def test_a_missing_extra_does_not_break_the_page() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None\nfrom bulkwriter.cli.api_page import page\nprint(page(80))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "observe.OpenTelemetry\n    its extra is not installed" in done.stdout


USE = """
from pathlib import Path
from bulkwriter import BulkWriter, Settings
from bulkwriter.observe import OpenTelemetry, PrometheusMetrics
settings = Settings(journal="j", quota=["write:60/min"], token_file="t")
reveal_type(settings.journal)
reveal_type(settings.quota)
BulkWriter(settings, observers=[print, PrometheusMetrics(), OpenTelemetry()])
Settings(journal=5)
"""


@pytest.mark.slow
def test_every_public_type_is_known_from_outside(tmp_path: Path) -> None:
    report = pyright("--verifytypes", "bulkwriter", "--ignoreexternal", "--outputjson", folder=tmp_path)
    symbols = json.loads(report)["typeCompleteness"]["symbols"]
    assert len(symbols) > 1_000
    homes = {f"{found.__module__}.{found.__qualname__}" for found in PUBLIC.values()}
    ours = [s for s in symbols if any(s["name"] == home or s["name"].startswith(f"{home}.") for home in homes)]
    assert homes <= {s["name"] for s in ours}
    unknown = {s["name"]: s["diagnostics"] for s in ours if s["isTypeAmbiguous"] or not s["isTypeKnown"]}
    assert unknown == {}


@pytest.mark.slow
def test_settings_take_more_than_they_give(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE)
    said = pyright("use.py", "--outputjson", folder=tmp_path)
    told = [(d["severity"], d["message"].splitlines()[0]) for d in json.loads(said)["generalDiagnostics"]]
    assert told[:2] == [
        ("information", 'Type of "settings.journal" is "Path | Address | None"'),
        ("information", 'Type of "settings.quota" is "tuple[str, ...]"'),
    ]
    assert [severity for severity, _ in told[2:]] == ["error"], "journal=5 alone"


def pyright(*args: str, folder: Path) -> str:
    """What pyright says.  It is skipped where pyright cannot run: it needs node, and npm the first time."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "pyright"]
    how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PYRIGHT_S, "env": env, "cwd": folder}
    version = subprocess.run([*command, "--version"], check=False, **how)
    if version.returncode or not version.stdout.startswith("pyright "):
        last = (version.stderr or version.stdout).strip().splitlines()[-1:]
        pytest.skip(f"pyright cannot run here: {''.join(last)}")
    said: str = subprocess.run([*command, *args], check=False, **how).stdout
    return said
