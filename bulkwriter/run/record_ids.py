"""Record ids that this run was given: whether one comes twice, which is the highest, and whether they rise at all.

An id that comes twice shows a lane that answers out of step.  The highest known one is a *floor*: a record of a pair
sent later has a higher id, if the server gives rising ids.  Whether it does is watched: an id not above its pair's
floor is counted, and once more than `MOST_BELOW` came and more than one in `SHARE` were so, ids are held not to rise
and an id below a floor tells nothing.  A few may be so on any server, where replies of a lane out of step were taken
for another's.
"""

from __future__ import annotations

from typing import Final

from ..core.dedupe import IdSet

MOST_BELOW: Final = 3
SHARE: Final = 20


class RecordIds:
    """The record ids of a run, over all its processes: those that earlier ones were `given`, and its own."""

    def __init__(self, given: IdSet | None = None, *, are_rising: bool = True) -> None:
        seen = IdSet() if given is None else given  # asking whether it is empty would walk it
        self._see = seen.add
        self._checked = 0
        self._below = 0
        self.newest = self._newest_given = seen.highest
        self.are_rising = are_rising
        self.run_floor: int | None = self.newest or None
        """A floor from before the first write of this process."""

    @property
    def newest_own(self) -> int:
        """The highest of this process's own, where it is above those of earlier ones; else 0."""
        return self.newest if self.newest > self._newest_given else 0

    def add(self, record_id: int, floor: int | None) -> bool:
        """Take the id given to a pair whose floor was `floor`; False if it was given before."""
        if not self._see(record_id):
            return False
        if floor is not None:
            self._checked += 1
            if record_id <= floor:
                self._watch()
        if record_id > self.newest:
            self.newest = record_id
        return True

    def begin_at(self, floor: int | None) -> None:
        """This is the floor from before the first write of this process."""
        self.run_floor = floor

    def _watch(self) -> None:
        self._below += 1
        if self._below > MOST_BELOW and self._below * SHARE > self._checked:
            self.are_rising = False
