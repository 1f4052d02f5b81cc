"""Decides how fast to send, and how many requests at once, from replies alone.  Pure: time and chance are arguments.

    controller  the seam: told of every request, asked when the next may go; epochs, pauses and the canary
    pace        the rate: start, climb, surge, dip
    limit       what the server allows, measured between refusals; how long to climb before the next one
    bursts      the same, where a few throttles or stated pauses are all there is
    stated      the law where throttles state a short pause
    window      how many it allows in what time, and when it ends
    sharing     whether others use it too
    chance      whether throttles come at any pace
    hold        how long nobody sends after a throttle
    crowd       how many at a time, where the server refuses crowds
    queueing    how many are useful, where the server queues them
    busy        whether 503s that state no wait say "too fast"
    floor       the least rate that the user wants
    recent      which requests went when, to judge a throttle by
    memory      what an earlier run found, until this knows better
    words       all this for people

The engine enforces these decisions.  The user's ceiling, quotas and in-flight limit stand above them.
"""

from .controller import Controller
from .words import Holding

__all__ = ["Controller", "Holding"]
