"""Puts together the parts that talk to one server: lanes, calls, tokens, requests and lists.

A run uses them beside its journal (`wiring`).  `verify` and `undo` send no creates, and use nothing else on the wire.
Nothing is sent, and no name is looked up, until something is asked for.  To enter the client starts a task that sweeps
the lanes, for commands without an engine.  To close it ends calls first, then lanes, then the quotas.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from .clocks import MACHINE
from .core.classify import judge_call
from .entities import Entity
from .entities.completed_lessons import COMPLETED_LESSONS
from .events import Event, Note
from .listing.lister import Lister
from .model import Fault, Reply
from .net.api import Api
from .net.auth import StoredUse, token_source
from .net.auth import TokenRefused as TokenRefused
from .net.calls import Calls
from .net.dial import check_way
from .net.pool import Pool
from .net.stored_token import StoredToken
from .postgres.address import START_S
from .quota.build import quotas_for, windows_for
from .quota.gate import Turns, unheard
from .quota.windows import WRITE
from .settings import Settings
from .shielded import own_task, to_its_end
from .store.sign_in_file import SignInFile
from .stored_sign_in import StoredSignIn

SWEEP_S: Final = 0.5
RENEW_WAIT_S: Final = 5.0
"""The longest wait for a quota before a stored sign-in is renewed ahead of its time; short windows open sooner."""
LANE_HISTORY: Final = 1_000_000
"""Pairs that all lanes together remember, at 32 bytes each, so that a lane out of step can put them in doubt.  A lane
serves at most this ÷ in_flight requests before it is renewed.
"""


def check(settings: Settings, *, with_token: bool, entity: Entity = COMPLETED_LESSONS) -> None:
    """Raise the `UsageError` that a new `ServerClient` would raise.  It opens nothing, makes no file and sends nothing.

    `with_token` checks the sign-in as well, if nothing of it is missing (a password may still be asked for).  A pipe
    that gives a token is read then, and gives it once.
    """
    windows_for(settings)
    check_way(settings.base_url, ca_file=settings.ca_file, proxy=settings.proxy)
    has_password = settings.password or settings.password_file
    if with_token and settings.stored_sign_in:
        stored_in(settings).load()
    elif with_token and (settings.token or settings.token_file or (settings.username and has_password)):
        token_source(
            settings,
            request=never_asked,
            token_request=Api(settings.base_url, entity).token_request,
            judge=judge_call,
            role=entity.create_role,
            clocks=settings.clocks or MACHINE,
        )


async def never_asked(data: bytes, *, deadline_s: float) -> Reply:
    raise AssertionError("nothing is sent by a check")


def stored_in(settings: Settings) -> SignInFile:
    """Where the sign-in of these settings is stored.  Raises `ConfigurationStop` without a home folder."""
    return SignInFile.of(settings.base_url, settings.account)


class ServerClient:
    """Everything on the wire for one `Settings` and one entity."""

    def __init__(
        self,
        settings: Settings,
        entity: Entity = COMPLETED_LESSONS,
        *,
        tell: Callable[[Event], None] = unheard,
        ledger_start_s: float = START_S,
    ) -> None:
        self.entity = entity
        self.clocks = clocks = settings.clocks or MACHINE
        self._tell = tell
        self._timeout_s = settings.timeout_s
        self.api = Api(settings.base_url, entity)
        lane_requests = min(settings.limits.lane_requests, LANE_HISTORY // settings.in_flight)
        self.pool = Pool(
            settings.base_url,
            ca_file=settings.ca_file,
            proxy=settings.proxy,
            limits=dataclasses.replace(settings.limits, lane_requests=lane_requests),
            timeout_s=settings.timeout_s,
            clocks=clocks,
        )
        self.calls = Calls(self.pool, clocks)
        self.tokens = token_source(  # may refuse the settings, so it comes first
            settings,
            request=self._ask,
            token_request=self.api.token_request,
            judge=judge_call,
            role=entity.create_role,
            clocks=clocks,
            stored=self._stored(settings) if settings.stored_sign_in else None,
        )
        self.quotas = quotas_for(settings, tell, clocks, start_s=ledger_start_s)
        """None if nothing is counted."""
        self._turns = Turns(self.calls.request, self.quotas, clocks) if self.quotas else None
        self.lister = Lister(self.request, self.api, self.tokens, wall=clocks.wall, most_age_s=settings.list_lag_s)
        self._sweeping: asyncio.Task[None] | None = None

    async def request(self, data: bytes) -> Reply:
        """Send a whole request and return what came back, a fault included.

        While any connection is known to answer out of step, no reply is believed: it may belong to another request.
        """
        shifts = self.calls.shifts
        reply = await self._ask(data, deadline_s=self._timeout_s)
        return reply if self.calls.shifts == shifts else Reply(0, fault=Fault.SHIFTED)

    async def _ask(self, data: bytes, *, deadline_s: float) -> Reply:
        return await (self._turns or self.calls.request)(data, deadline_s=deadline_s)

    async def sign_in_anew(self, settings: Settings) -> StoredSignIn:
        """Sign in with the settings' user name and password, and store that for all runs.

        Raises `ConfigurationStop` if it is refused or cannot be stored, `TryLater` if there is no answer.
        """
        supply = self.tokens.supply
        assert isinstance(supply, StoredToken)
        return await supply.sign_in_anew(client_id=settings.client_id or "")

    def _stored(self, settings: Settings) -> StoredUse:
        return StoredUse(
            store=stored_in(settings), tell=lambda text: self._tell(Note(text)), has_room=self._has_room_for_renewal
        )

    def _has_room_for_renewal(self) -> bool:
        """Whether a write may go soon.  A renewal that is not urgent does not wait for a quota's next day."""
        now = self.clocks.clock()
        at = self.quotas.opens_at(now, WRITE, is_call=True) if self.quotas else now
        return at <= now + RENEW_WAIT_S or at == math.inf

    async def __aenter__(self) -> Self:
        try:
            if self.quotas:
                await self.quotas.begin()
        except BaseException:
            await to_its_end(self.aclose())
            raise
        self._sweeping = own_task(self._sweep(), name="sweep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sweeping:
            self._sweeping.cancel()
        await to_its_end(self.aclose())

    async def aclose(self) -> None:
        """End every call and lane, then write down what they spent.  Raises a bug that nobody has heard of."""
        try:
            await self.calls.aclose()
            await self.pool.aclose()
        finally:
            if self.quotas:
                await self.quotas.aclose()
        self.calls.check()

    async def _sweep(self) -> None:
        try:
            while True:
                await self.clocks.idle(SWEEP_S)
                self.pool.sweep(self.clocks.clock())
        except Exception as error:  # nobody waits for this task: those who make calls are told
            self.calls.crashed(error)
