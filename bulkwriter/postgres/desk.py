"""Which part a worker takes next, when it waits, and when it is at the end.

    unsent pairs      a part with some is taken by whoever comes first
    in doubt, failed  tried again once a start of the job: by a worker that finds them as it begins, or where the worker
                      that had the part is gone
    with a worker     waited for: that worker may die, and then its part is free when its lease is over
    nothing left      the end, as soon as no part with pairs left has a worker

So several workers that end together do not send the same failed pairs once each.  A part that this worker has brought
to its end is not taken again unless others have worked on it since.

Pure: chance is an argument.  Not here: claims and leases (`lease`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from .jobs import PartStanding


@dataclass(frozen=True, slots=True)
class PartSeen:
    """A part as it was seen: how it stands, and how long it must stay so to be free (0.0: it is)."""

    part: PartStanding
    free_in_s: float


@dataclass(slots=True)
class Desk:
    """What one worker knows of the parts of its job.

    `is_retrying`: rejected pairs are sent again, once.
    """

    is_retrying: bool = False
    _first: dict[str, int] = field(default_factory=dict)  # groups in a part's log when this worker first saw it
    _tried: dict[str, int] = field(default_factory=dict)  # and when it had brought the part to its end

    def choose(self, seen: Sequence[PartSeen], rng: random.Random) -> PartSeen | float | None:
        """The part to take; or for how long to wait, in seconds; or None at the end."""
        for one in seen:
            self._first.setdefault(one.part.name, one.part.row.shipped)
        wanted = [one for one in seen if self._wants(one)]
        free = [one for one in wanted if not one.free_in_s]
        if free:
            unsent = [one for one in free if one.part.unsent]
            return rng.choice(unsent or free)  # by chance: workers that begin together take different ones
        return min((one.free_in_s for one in wanted), default=None)

    def ended(self, name: str, shipped: int) -> None:
        """This worker has brought a part as far as it can; its log has so many groups now."""
        self._tried[name] = shipped

    def _wants(self, one: PartSeen) -> bool:
        part, row = one.part, one.part.row
        if not row.is_free:  # with a worker, alive or gone
            return part.left > 0
        if part.unsent:
            return self._tried.get(part.name) != row.shipped
        is_as_found = part.name not in self._tried and self._first[part.name] == row.shipped
        return is_as_found and (part.left > 0 or (self.is_retrying and part.counts.rejected > 0))
