"""`scripts/crashes`: every write and sync of journal and ledger goes wrong in three ways; figures at the end."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support import crash_points


def main(every: int = 1, first: int = 0) -> int:
    if reason := crash_points.why_not():
        sys.stderr.write(f"{reason}\n")
        return 2
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        chosen = crash_points.points(Path(folder), every=every, first=first)
        counted = Counter((point.file, point.call) for point in chosen)
        sys.stdout.write(f"{len(chosen)} points: " + ", ".join(f"{n} {f} {c}" for (f, c), n in counted.items()) + "\n")
        sys.stdout.flush()
        found = crash_points.try_points(Path(folder), chosen)
    sys.stdout.write("".join(f"{what}\n" for what in found.wrong))
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(found.codes.items()))
    sys.stdout.write(
        f"{found.points} points, {found.reached} reached, {len(found.wrong)} wrong; exit codes there "
        f"{codes} ({time.monotonic() - began_at:.0f} s; scripts/crashes {every} {first})\n"
    )
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
