"""Benchmarks of a service against the stub, for its CI: the fixture `bulkwriter_bench`.

    def test_enrolling(bulkwriter_bench):
        for settings in bulkwriter_bench():      # five rounds, each with a new journal and an empty stub
            my_service(settings, PAIRS)

The figure of a test is the CPU time of its cheapest round, without the stub's: what else the machine does moves it
little, and only up.  Three options of pytest use it:

    --bulkwriter-figures=PATH     adds it to a JSON file, {test: seconds}
    --bulkwriter-base=PATH        such a file of another commit: a test fails whose figure is too far above it
    --bulkwriter-most-worse=R     more than R times is too far

Not here: benchmarks of bulkwriter itself, which its repository has.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError

if TYPE_CHECKING:
    from ..settings import Settings
    from .thread import StubThread

ROUNDS: Final = 5
"""The first one imports and opens; of five the cheapest is near what a quiet machine needs."""
MOST_WORSE: Final = 1.15
"""Two rounds of the same code on a shared runner differ by about so much."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Where the figures of this session go, and what they are held to."""

    path: Path | None
    base: Path | None
    most_worse: float = MOST_WORSE

    def keep(self, test: str, seconds: float) -> None:
        """Add a figure to the file.  Raises `AssertionError` where it is too far above that of the base."""
        if self.path:
            add_figure(self.path, test, round(seconds, 6))
        before = read_figures(self.base).get(test) if self.base else None
        if before and seconds > self.most_worse * before:
            told = f"{seconds:.3g} s of CPU, and {before:.3g} s at the base: {seconds / before:.2f} times as much"
            raise AssertionError(f"{test}: {told}; allowed is {self.most_worse:g}")


def add_figure(path: Path, test: str, seconds: float) -> None:
    """Add a figure to a file that other workers of pytest-xdist write as well.  Raises `UsageError`."""
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        figures = {**(read_figures(path) if path.stat().st_size else {}), test: seconds}
        file.truncate(0)
        file.write(json.dumps(figures, indent=1, sort_keys=True) + "\n")


def read_figures(path: Path) -> dict[str, float]:
    """The figures in a file.  Raises `UsageError`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(test): float(seconds) for test, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} has no figures: {error}", hint="--bulkwriter-figures makes such a file") from None


class Bench:
    """The rounds of one test."""

    def __init__(self, test: str, figures: Figures, settings: Settings, stub: StubThread, folder: Path) -> None:
        self._test, self._figures, self._settings, self._stub = test, figures, settings, stub
        self._folder = folder

    def __call__(self, rounds: int = ROUNDS) -> Iterator[Settings]:
        """Settings for each round.  What happens between one and the next is measured."""
        seconds = []
        for i in range(rounds):
            self._stub.reset()
            began = self._spent()
            yield dataclasses.replace(self._settings, **self._files(i))
            seconds.append(self._spent() - began)
        __tracebackhide__ = True
        self._figures.keep(self._test, min(seconds))

    def _files(self, i: int) -> dict[str, Any]:
        folder = self._folder / f"round-{i}"
        folder.mkdir()
        return {"journal": folder / "journal", "ledger": folder / "ledger", "clocks": None}

    def _spent(self) -> float:
        """Seconds of CPU of this process so far, but for the stub's."""
        return time.process_time() - self._stub.cpu_s()
