"""Decides how fast to send, and how many requests at once, from replies alone.  Pure: time and chance are arguments.

    Controller   the seam: told of every request, asked when the next may go; epochs, pauses and the canary
    Pace         the rate: start, climb, surge, dip                  (pace.py)
    Limit        what the server allows, measured between refusals   (limit.py)
    Bursts       the rate that a few throttles agree about           (bursts.py)
    Stated       the law where throttles state a short pause         (stated.py)
    StatedPauses what other stated pauses say of the limit           (pauses.py)
    Climbs       how long to climb before the next throttle          (climbs.py)
    Window       how many it allows in what time, and when it ends   (window.py)
    Sharing      whether others use it too                           (sharing.py)
    Hold         how long nobody sends after a throttle              (hold.py)
    Crowd        how many at a time, where the server refuses crowds (crowd.py)
    Queueing     how many are useful, where the server queues them   (queueing.py)
    Busy         whether 503s that state no wait say "too fast"      (busy.py)
    Floor        the least rate that the user wants                  (floor.py)
    RecentSends  which requests went when, to judge a throttle by    (recent.py)
    Memory       what an earlier run found, until this knows better  (memory.py)

The engine enforces these decisions.  The user's ceiling, quotas and in-flight limit stand above them.  Four words: An
*epoch* ends with a throttle whose request was sent after the last cut; later throttles of earlier requests are *echoes*
of the same event.  A *hold* is a time in which the server takes nothing.  The *canary* is the one request that tests
whether a pause is over.  A *surge* sends faster than the known limit, to test whether it still holds.
"""

from .controller import Controller
from .words import Holding

__all__ = ["Controller", "Holding"]
