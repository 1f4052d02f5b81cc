"""Chance at its bounds, so that the figures of a test can be worked out by hand."""

from __future__ import annotations

import random


class Highest(random.Random):
    """Chance at its highest: uniform(a, b) is b."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Lowest(random.Random):
    """Chance at its lowest: uniform(a, b) is a."""

    def uniform(self, a: float, b: float) -> float:
        return a
