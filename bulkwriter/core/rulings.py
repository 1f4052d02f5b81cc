"""What a reply that proves no creation means, as a value: for its pair, the server, the token and the run.

    verdict (`classify`)               the pair   the server             else
    rejected                           held       good
    throttled                          back       throttled
    unsent, though a reply came        back       good
    unsent                             back       bad
    unauthorized                       back       good                   a new token; if that is refused too, a stop
    stop                               back       good                   a stop
    in doubt                           lost       bad, or throttled where the reply states a wait

The only state here is streaks over several replies: rejections in the same words, throttles with no success between
them, and a second refused token.  A reply that proves a creation makes no ruling.  It still ends each streak, because
`created`, the number of such replies so far, is an argument.

Pure.  Not here: what a held pair becomes (`pairs`), and what news of the server changes (`run.admission`).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from ..errors import BulkwriterError, ConfigurationStop
from ..model import Reply, Verdict, VerdictKind
from ..settings import Settings
from . import stops
from .classify import classify


class PairEvent(Enum):
    """The event for the pair; see `pairs`."""

    BACK = "surely not applied"
    HELD = "refused, perhaps because it is there"
    LOST = "may have been applied"


class News(Enum):
    """What the reply says about the server."""

    GOOD = "it answers"
    THROTTLED = "it wants to be asked more slowly"
    BAD = "an exchange was lost, or ended in doubt"


class Ruling(NamedTuple):
    """What a reply means.  `stop` is the error that ends the run; `wants_token` says that the current token is
    refused, so that nothing may be sent with it.
    """

    event: PairEvent
    news: News
    verdict: Verdict
    stop: BulkwriterError | None = None
    wants_token: bool = False


HELD: Final = (PairEvent.HELD, News.GOOD)
BACK: Final = (PairEvent.BACK, News.GOOD)


class Rulings:
    """The rulings of one run.

    `has_quotas`: throttles teach the quotas, so a streak of them is no reason to stop.  `create_role` is the role that
    a user lacks if the server refuses a fresh token.
    """

    def __init__(self, settings: Settings, *, has_quotas: bool, create_role: str) -> None:
        self._settings = settings
        self._create_role = create_role
        self._rejections = self._singles = stops.Rejections(most_in_a_row=settings.max_same_rejections)
        self.source_begins()
        self._throttles = stops.ThrottleStreak() if settings.on_quota == "stop" and not has_quotas else None
        self._token_refused_at = -1  # how many were created when a token was refused; -1 once a refusal was believed

    def rule(
        self,
        reply: Reply,
        *,
        now: float,
        wall_s: float,
        created: int,
        has_created: bool,
        is_current_token: bool,
        is_refreshed: bool,
    ) -> Ruling:
        """The ruling on a reply.  `is_refreshed`: the token before the current one was refused."""
        verdict = classify(reply, has_created=has_created, is_current_token=is_current_token, wall_s=wall_s)
        match verdict.kind:
            case VerdictKind.REJECTED:
                self._token_refused_at = -1
                ruling = Ruling(*HELD, verdict)
            case VerdictKind.THROTTLED:
                ruling = Ruling(PairEvent.BACK, News.THROTTLED, verdict)
            case VerdictKind.UNSENT:
                ruling = Ruling(PairEvent.BACK, News.GOOD if reply.fault is None else News.BAD, verdict)
            case VerdictKind.UNAUTHORIZED:
                ruling = self._unauthorized(verdict, created, is_refreshed=is_refreshed)
            case VerdictKind.STOP:
                ruling = Ruling(*BACK, verdict, ConfigurationStop(verdict.message, hint=stops.GO_ON))
            case _:
                ruling = Ruling(PairEvent.LOST, News.BAD, verdict)
        if verdict.is_slow_down:
            stop = self._throttled(verdict, now=now, wall_s=wall_s, created=created)
            ruling = ruling._replace(news=News.THROTTLED, stop=stop)
        return ruling

    def source_begins(self) -> None:
        """Another source begins.  What was refused of the one before says nothing about it."""
        self._rejections = stops.Rejections(
            most_in_a_row=self._settings.max_same_rejections, most_share=self._settings.stop_rejected
        )

    def refused(self, status: int, verdict: Verdict, *, created: int) -> BulkwriterError | None:
        """A held pair of the source has no record, so its refusal counts.  Return the error to end the source with if
        there were too many.
        """
        return self._rejections.add(status, verdict, created=created)

    def refused_single(self, status: int, verdict: Verdict, *, created: int) -> int:
        """The same for a pair given by itself.  Such pairs come from many callers, who share no setting, so nothing
        ends.  Return how many were refused alike in a row, at every `max_same_rejections`; else 0.
        """
        count = self._singles.in_a_row(status, verdict, created=created)
        return 0 if count % self._settings.max_same_rejections else count

    def _unauthorized(self, verdict: Verdict, created: int, *, is_refreshed: bool) -> Ruling:
        if is_refreshed and created == self._token_refused_at:
            hint = stops.no_role(self._create_role)
            stop = ConfigurationStop(verdict.message, hint=hint, code="token")
            return Ruling(*BACK, verdict, stop, wants_token=True)
        self._token_refused_at = created
        return Ruling(*BACK, verdict, wants_token=True)

    def _throttled(self, verdict: Verdict, *, now: float, wall_s: float, created: int) -> BulkwriterError | None:
        streak = None
        if self._throttles and verdict.kind is VerdictKind.THROTTLED:
            streak = self._throttles.add(now, created)
        return stops.at_long_wait(verdict.retry_after_s, self._settings, wall_s) or streak
