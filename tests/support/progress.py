"""What a campaign says while it is at work: lines on stdout that are there at once, also through a pipe."""

from __future__ import annotations

import sys


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
