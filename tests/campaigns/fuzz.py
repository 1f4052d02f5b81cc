"""`scripts/fuzz`: bad inputs by a coverage-guided fuzzer (atheris, where it is installed); figures at the end.

Each target of `bad_inputs` runs in a process of its own for some inputs, which grow from its seeds by what new code
they reach.  An input that breaks one is printed and kept; memory is bounded by `RSS_MB`, an input's time by `SLOW_S`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RSS_MB, SLOW_S, LONGEST = 512, 5, 4_096


def main(inputs: int = 100_000, *names: str) -> int:
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("there is no atheris: .venv/bin/python -m pip install 'atheris>=3'\n")
        return 2
    from tests.support.bad_inputs import TARGETS

    broken = 0
    for name in names or TARGETS:
        began_at = time.monotonic()
        done, said = run_apart(name, inputs)
        broken += not done
        reached = re.findall(r"cov: (\d+)", said)
        sys.stdout.write(said[-3_000:] if not done else "")
        sys.stdout.write(
            f"{name}: {inputs:,} inputs, {'BROKEN' if not done else 'none broke it'}, {reached[-1] if reached else 0} "
            f"branches reached ({time.monotonic() - began_at:.0f} s)\n"
        )
        sys.stdout.flush()
    return 1 if broken else 0


def run_apart(name: str, inputs: int) -> tuple[bool, str]:
    """Whether all inputs went well, and what the fuzzer said."""
    from tests.support.bad_inputs import SEEDS

    with tempfile.TemporaryDirectory() as folder:
        for i, seed in enumerate(SEEDS[name]):
            Path(folder, str(i)).write_bytes(seed)
        limits = [f"-runs={inputs}", f"-rss_limit_mb={RSS_MB}", f"-timeout={SLOW_S}", f"-max_len={LONGEST}", "-seed=1"]
        command = [sys.executable, "-m", "tests.campaigns.fuzz", "--one", name, *limits, folder]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.returncode == 0, done.stdout + done.stderr


def run_here(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["bulkwriter", "tests.support.bad_inputs"]):
        from tests.support.bad_inputs import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--one", name, *arguments]:
            run_here(name, arguments)
        case [inputs, *names]:
            sys.exit(main(int(inputs), *names))
        case _:
            sys.exit(main())
