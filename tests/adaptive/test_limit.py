"""The measured limit at its edges; how it does as a whole is shown by the control matrix."""

from __future__ import annotations

from bulkwriter.adaptive.hold import EndedHold
from bulkwriter.adaptive.limit import Limit
from bulkwriter.adaptive.recent import Mark


def test_a_hold_that_began_where_counting_did_is_measured_by_its_end() -> None:
    """Found by simulation (seed 1017505): no time lies between the two, and a rate was divided by it."""
    limit = Limit(0.0)
    limit.begin(Mark(1.0, 0))
    assert limit.resumed(Mark(2.0, 50), EndedHold(1.0, 1.1, 0.0, False, False, True), (Mark(1.0, 0), 10.0))
    assert limit.safe == 50.0
