"""Prints the lowest version that pyproject.toml allows of each package that it names, as constraints for pip."""

import re
import tomllib
from pathlib import Path

FLOOR = re.compile(r"([\w.-]+)>=([\w.]+)")
TOOLS = ("mypy", "ruff")  # no part of a test run

told = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
for need in [*told["project"]["dependencies"], *told["dependency-groups"]["dev"]]:
    found = FLOOR.match(need)
    assert found, f"no lower bound: {need}"
    if found[1] not in TOOLS:
        print(f"{found[1]}=={found[2]}")
