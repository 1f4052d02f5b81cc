"""The record ids that this run was given: whether one comes twice, which is the highest, and whether they rise.

An id that comes twice shows a lane that answers out of step.  The highest known id is a *floor*: if the server gives
rising ids, the record of a pair that is sent later has a higher id.

An id that is not above the floor of its pair may be that of a record which was there before.  Such a pair is looked up.
Whether ids rise is watched: each such id is counted, unless its record turns out to be an older one.  While there are
more of them than `floors_tell` allows, no look goes by floors, since a floor may be of a list that lied.  If it is so
when a look shows such a record, ids count as not rising, and an id below a floor tells nothing.  A few such ids may
occur on any server, when the replies of a lane out of step went to the wrong pairs.
"""

from __future__ import annotations

from typing import cast

from ..core.dedupe import IdSet
from ..listing.baseline import floors_tell


class RecordIds:
    """The record ids of a run over all its processes.  `given` holds those of earlier processes; `below` more were not
    above their floors, and nobody has looked yet."""

    def __init__(self, given: IdSet | None = None, *, are_rising: bool = True, below: int = 0) -> None:
        seen = IdSet() if given is None else given  # its truth value would walk it
        self._see_all = seen.add_new
        self._checked = below + (len(seen) if below else 0)
        self._below = below
        self.newest = self._newest_given = seen.highest
        self.are_rising = are_rising
        self.run_floor: int | None = self.newest or None
        """A floor from before the first write of this process."""

    @property
    def floors_tell(self) -> bool:
        """Whether a look may say by a floor that a record is not there."""
        return self.are_rising and floors_tell(self._below, self._checked)

    @property
    def newest_own(self) -> int:
        """The highest id of this process, if it is above those of earlier ones; else 0."""
        return self.newest if self.newest > self._newest_given else 0

    def add_all(self, ids: list[int], floors: list[int | None]) -> tuple[list[int], list[int]]:
        """Take the ids given to pairs with these floors.  Return the ascending indexes of those given before, and
        those of ids that are not above their floors, while ids rise.
        """
        again: list[int] = self._see_all(ids)
        below: list[int] = []
        known = set(floors)
        if not again and None not in known and min(ids) > max(cast(set[int], known)):  # nearly always
            self._checked += len(ids)
            self.newest = max(self.newest, *ids)
            return again, below
        for at, (record_id, floor) in enumerate(zip(ids, floors, strict=True)):
            if again and at in again:
                continue
            if floor is not None:
                self._checked += 1
                if record_id <= floor:
                    self._below += 1
                    below.append(at)
            if record_id > self.newest:
                self.newest = record_id
        return again, below if self.are_rising else []

    def begin_at(self, floor: int | None) -> None:
        """Set the floor from before the first write of this process."""
        self.run_floor = floor

    def judge(self, *, is_new: bool | None, is_near: bool = False) -> None:
        """A look showed the record of an id that was not above its floor: whether it is newer than its request, or None
        where that is not known.  `is_near`: another writer may have made it just before, which says nothing of ids.
        """
        if is_new is False:
            self._below = max(0, self._below - 1)
        elif not is_near and not floors_tell(self._below, self._checked):
            self.are_rising = False
