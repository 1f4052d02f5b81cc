"""What a campaign came to: what the stub itself counted, against the pairs that there were to write.

`Sampler` keeps how many creates had arrived at which time, which the stub itself does not tell.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from bulkwriter.stub.thread import StubThread

SAMPLE_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """By the stub's own count."""

    wanted: int
    creates: int
    records: int
    missing: int
    doubled: int
    throttles: int
    worst: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        windows = ", ".join(f"{count:,} in {window} s" for window, count in self.worst.items())
        return (
            f"{self.wanted:,} pairs, {self.creates:,} creates: {self.missing} missing, {self.doubled} doubled,"
            f" {self.throttles} throttled; most that arrived: {windows or 'not watched'}"
        )


def truth_of(stub: StubThread, wanted: Iterable[tuple[int, ...]]) -> Truth:
    told, pairs = stub.truth(), set(wanted)
    there = {(first, second) for _, first, second in stub.records()}
    return Truth(
        wanted=len(pairs), creates=told["operations"].get("create", 0), records=told["records"],
        missing=len(pairs - there), doubled=told["doubles"], throttles=told["throttles"],
        worst=told["worst_in_window"],
    )  # fmt: skip


class Sampler:
    """A context manager: a thread that looks how many creates have arrived."""

    def __init__(self, stub: StubThread) -> None:
        self._stub = stub
        self._times: list[float] = []
        self._counts: list[int] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def creates(self) -> int:
        return self._counts[-1] if self._counts else 0

    def between(self, begin: float, finish: float) -> int:
        """How many creates arrived between these two times of the monotonic clock."""
        return self._at(finish) - self._at(begin)

    def first_after(self, at: float, count: int) -> float:
        """When `count` more creates than at this time had arrived; infinity if they never did."""
        place = bisect_left(self._counts, self._at(at) + count)
        return self._times[place] if place < len(self._times) else float("inf")

    def _at(self, at: float) -> int:
        place = bisect_right(self._times, at)
        return self._counts[place - 1] if place else 0

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self._counts.append(self._stub.truth()["operations"].get("create", 0))
            self._times.append(time.monotonic())
