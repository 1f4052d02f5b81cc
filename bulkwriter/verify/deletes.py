"""Deletes one record at a time, and says what is known of it then.  Whether it may be deleted is not decided here.

    reply to a DELETE (`core.classify.judge_call`)           fate of the record
    2xx with WasSuccessful true, or without a body           DELETED; a read afterwards must not show it any more
    404                                                      GONE; DELETED if an earlier reply to it was lost
    refused, as a create can be                              REFUSED; the same often in a row stops everything
    401                                                      once more with a fresh token, then stop: a role is missing
    a stop                                                   stop: configuration
    never connected, or no byte written                      again, after a pause
    anything else, and replies lost                          again: a second DELETE of an id does no harm

A DELETE that was never answered in `max_attempts` tries is UNKNOWN.  Once `halt` is set nothing is sent: UNSENT, or
UNKNOWN if an earlier reply was lost.  What stops everything sets `halt`, so no error is ever raised for a server's
doing.  Throttles never get here (`paced`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from ..core.classify import UNSENT_FAULTS, judge_call
from ..core.retry import Backoff
from ..core.stops import GO_ON, at_connect
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..events import ConnectionTrouble, Event
from ..listing.lister import Request, TokenLike, Tokens
from ..listing.persist import LONGEST_PAUSE_S
from ..model import CallKind, Reply
from ..net.api import Api, BadList, load
from ..settings import Settings
from .stop_signal import Halt

FIRST_PAUSE_S = 0.1
"""Longest pause after a first failure; a few lost replies among thousands must not cost half a second each."""


class Fate(Enum):
    """What is known of a record after the attempt to delete it."""

    DELETED = "deleted"
    GONE = "was gone already"
    REFUSED = "the server refuses to delete it"
    UNKNOWN = "not known"
    UNSENT = "nothing was sent"


class Deleter:
    """Deletes records by their ids; several calls may run at once.  `refusal` is what the server last refused with."""

    def __init__(
        self,
        request: Request,
        api: Api,
        tokens: Tokens,
        settings: Settings,
        *,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        rng: random.Random,
        halt: Halt,
    ) -> None:
        self._request = request
        self._api = api
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, rng)
        self._halt = halt
        self._failing_since: float | None = None
        self._reason = ""
        self._has_connected = False
        self._refused = 0
        self.refusal = ""

    async def delete(self, record_id: int) -> Fate:
        """Delete the record with this id.  Waits on pace and quotas.  Safe to cancel: it may be gone all the same."""
        lost = failures = 0
        while not self._halt.is_set:
            try:
                reply = await self._ask(record_id)
            except BulkwriterError as error:
                self._halt.set(error)
                break
            fate = self._judge(reply)
            if fate is Fate.GONE and lost:
                return Fate.DELETED
            if fate in (Fate.DELETED, Fate.GONE, Fate.REFUSED):
                return fate
            lost += fate is Fate.UNKNOWN
            if lost >= self._settings.max_attempts:
                break
            if not self._halt.is_set:
                await self._pause(failures)
            failures += 1
        return Fate.UNKNOWN if lost else Fate.UNSENT

    async def _ask(self, record_id: int) -> Reply:
        token = await self._tokens.current()
        reply = await self._request(self._api.delete(token.value, record_id))
        if judge_call(reply, 0.0).kind is not CallKind.UNAUTHORIZED:
            return reply
        token = await self._refreshed(token)
        reply = await self._request(self._api.delete(token.value, record_id))
        if judge_call(reply, 0.0).kind is CallKind.UNAUTHORIZED:
            raise not_allowed("HTTP 401 on a fresh token", self._api.entity.delete_role)
        return reply

    async def _refreshed(self, token: TokenLike) -> TokenLike:
        try:
            return await self._tokens.refresh(token.generation)
        except ConfigurationStop as refused:
            raise not_allowed(refused.message, self._api.entity.delete_role) from None

    def _judge(self, reply: Reply) -> Fate:
        """The fate by one reply; UNSENT and UNKNOWN ask for another try, or `halt` is set."""
        if reply.fault in UNSENT_FAULTS:
            error = at_connect(reply.fault, reply.detail, has_connected=self._has_connected)
            if error:
                self._halt.set(error)
            self._failed(reply.detail or reply.fault.value)
            return Fate.UNSENT
        self._has_connected = True
        if is_success(reply):
            return self._answered(Fate.DELETED)
        if reply.fault is None and reply.status == 404:
            return self._answered(Fate.GONE)
        verdict = judge_call(reply, 0.0)
        if verdict.kind is CallKind.REFUSED:
            return self._refuse(verdict.message)
        if verdict.kind is CallKind.STOP:
            self._halt.set(ConfigurationStop(f"a DELETE was answered with {verdict.message}", hint=GO_ON))
            return Fate.UNSENT
        self._failed(verdict.message or f"HTTP {reply.status} that does not say what became of it")
        return Fate.UNKNOWN

    def _answered(self, fate: Fate) -> Fate:
        self._failing_since = None
        self._refused = 0
        return fate

    def _refuse(self, words: str) -> Fate:
        self._failing_since = None
        self._refused += 1
        self.refusal = words
        if self._refused >= self._settings.max_same_rejections:
            message = f"the server refused {self._refused} deletes in a row: {words}"
            self._halt.set(ConfigurationStop(message, hint=GO_ON))
        return Fate.REFUSED

    def _failed(self, reason: str) -> None:
        now = self._clock()
        since = self._failing_since = now if self._failing_since is None else self._failing_since
        if now - since > self._settings.give_up_after_s:
            message = f"no delete was answered for {now - since:,.0f} s (last: {reason})"
            self._halt.set(TryLater(message, hint="the same command later goes on"))
        self._reason = reason

    async def _pause(self, failures: int) -> None:
        pause_s = self._backoff.delay(failures)
        self._tell(ConnectionTrouble(pause_s, self._reason))
        await self._halt.pause(pause_s)


def is_success(reply: Reply) -> bool:
    """Whether this is the API's own word that a record was deleted, or the word that other servers have for it."""
    if reply.fault is not None or not 200 <= reply.status <= 299:
        return False
    if not reply.body:
        return True
    try:
        body = load(reply.body)
    except BadList:
        return False
    return isinstance(body, dict) and body.get("WasSuccessful") is True


def not_allowed(reason: str, role: str) -> ConfigurationStop:
    return ConfigurationStop(
        f"the server does not let this token delete records: {reason}",
        hint=f"give the user the role {role}, or a token that has not expired; {GO_ON}",
    )
