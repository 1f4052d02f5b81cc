"""Deletes one record at a time, and says what is known of it then.  Whether it may be deleted is not decided here.

    reply to a DELETE (`core.classify.judge_call`)           fate of the record
    2xx with WasSuccessful true, or without a body           DELETED; a read afterwards must not show it any more
    404                                                      GONE; DELETED if an earlier reply to it was lost
    refused, as a create can be                              REFUSED; the same often in a row stops everything
    401                                                      once more with a fresh token, then stop: a role is missing
    a stop                                                   stop: configuration
    throttled                                                again, however often: a limit of a day may be spent
    never connected, or no byte written                      again, after a pause
    anything else, and replies lost                          again: a second DELETE of an id does no harm

A DELETE that was never answered in `max_attempts` tries is UNKNOWN.  Once `stop` is set nothing is sent: UNSENT, or
UNKNOWN if an earlier reply was lost.  What stops everything sets `stop`, so no error is ever raised for a server's
doing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

from ..core.classify import UNSENT_FAULTS, judge_call
from ..core.stops import GO_ON, at_connect
from ..errors import BulkwriterError, ConfigurationStop
from ..listing.lister import SendRequest
from ..listing.retry_until_deadline import CallFailed, Outage, RetryUntilDeadline
from ..model import CallKind, Reply
from ..net.api import Api, BadList, load
from ..net.auth import Token, TokenRefused, TokenSource
from ..settings import Settings
from .stop_signal import StopSet, StopSignal

WHAT: Final = "records cannot be deleted"


class Fate(Enum):
    """What is known of a record after the attempt to delete it."""

    DELETED = "deleted"
    GONE = "was gone already"
    REFUSED = "the server refuses to delete it"
    UNKNOWN = "not known"
    UNSENT = "nothing was sent"


class Unanswered(Exception):
    """As many replies to DELETEs of one record were lost as may be."""


class Deleter:
    """Deletes records by their ids; several calls may run at once.  `refusal` is what the server last refused with."""

    def __init__(
        self,
        request: SendRequest,
        api: Api,
        tokens: TokenSource,
        settings: Settings,
        *,
        wall: Callable[[], float],
        retry: RetryUntilDeadline,
        stop: StopSignal,
    ) -> None:
        self._request = request
        self._api = api
        self._tokens = tokens
        self._settings = settings
        self._wall = wall
        self._retry = retry
        self._stop = stop
        self._outage = Outage()
        self._has_connected = False
        self._refused = 0
        self.refusal = ""

    async def delete(self, record_id: int) -> Fate:
        """Delete the record with this id.  Waits on pauses and quotas.  Safe to cancel: it may be gone all the same."""
        lost: list[Reply] = []
        try:
            return await self._retry(partial(self._try, record_id, lost), what=WHAT, outage=self._outage)
        except (StopSet, Unanswered):
            pass
        except BulkwriterError as error:
            self._stop.set(error)
        return Fate.UNKNOWN if lost else Fate.UNSENT

    async def _try(self, record_id: int, lost: list[Reply]) -> Fate:
        """One DELETE.  Raises `CallFailed` where another is to follow, and what stops everything."""
        self._stop.check()
        reply = await self._ask(record_id)
        if reply.fault in UNSENT_FAULTS:
            if error := at_connect(reply.fault, reply.detail, has_connected=self._has_connected):
                raise error
            raise CallFailed(reply.detail or reply.fault.value)
        self._has_connected = True
        if is_success(reply):
            return self._answered(Fate.DELETED)
        if reply.fault is None and reply.status == 404:
            return self._answered(Fate.DELETED if lost else Fate.GONE)
        verdict = judge_call(reply, self._wall())
        if verdict.kind is CallKind.REFUSED:
            return self._refuse(verdict.message)
        if verdict.kind is CallKind.STOP:
            raise ConfigurationStop(f"a DELETE was answered with {verdict.message}", hint=GO_ON)
        is_throttle = verdict.kind is CallKind.THROTTLED
        if not is_throttle:
            lost.append(reply)
        if len(lost) >= self._settings.max_attempts:
            raise Unanswered
        raise CallFailed(
            verdict.message or f"HTTP {reply.status} that does not say what became of it",
            retry_after_s=verdict.retry_after_s,
            is_slow_down=verdict.is_slow_down,
            is_busy=not is_throttle,
            is_answer=is_throttle,
        )

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

    async def _refreshed(self, token: Token) -> Token:
        try:
            return await self._tokens.refresh(token.generation)
        except TokenRefused as refused:
            raise not_allowed(refused.message, self._api.entity.delete_role) from None

    def _answered(self, fate: Fate) -> Fate:
        self._refused = 0
        return fate

    def _refuse(self, words: str) -> Fate:
        self._refused += 1
        self.refusal = words
        if self._refused >= self._settings.max_same_rejections:
            message = f"the server refused {self._refused} deletes in a row: {words}"
            self._stop.set(ConfigurationStop(message, hint=GO_ON))
        return Fate.REFUSED


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
