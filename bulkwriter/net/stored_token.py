"""Token values from a stored sign-in, which all runs of a user share; renewed by one of them for all.

What is tried, in this order, once the token is due (half of its life has passed), expired or refused:

    the store      another process may have renewed it: then there is a newer token, and nothing is sent
    refresh        the refresh token, once, by whoever holds the store; what it brings is saved before it is used
    password       where one is configured for the same user: one sign-in, under the same client id
    function       the caller's own (a token_command): its token is used and not stored
    nothing        a token that has not expired goes on until then, and a note names the date; else it is a
                   `ConfigurationStop` that names `bulkwriter login`

While the token is good nobody waits: not for another process that renews it, and not for a quota without room.

Invariants: a refresh token is sent only by the holder of the store, once there is room on the disk for the next.  A
failed renewal does no harm while the token is good.  A refused password is not tried again.  A cancellation waits a
moment for the answer, since it may hold the only refresh token.
Not here: the file (`store.sign_in_file`), and what it holds (`stored_sign_in`).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..model import began
from ..shielded import with_grace
from ..stored_sign_in import StoredSignIn, login_command
from .api import check_header
from .signin import (
    Login,
    Supply,
    TokenEndpoint,
    TokenGrant,
    granted,
    new_client_id,
    refresh_form,
    refusal,
    sign_in,
)

AGAIN_S: Final = 60.0
"""Pause after a renewal that failed or had to wait, or half of what is left of the token's life if that is less."""
LOOK_AGAIN_S: Final = 3_600.0
"""Pause where no renewal is possible.  Only a new sign-in helps then, and a 401 finds it as well."""
HOLD_PAUSE_S: Final = 0.1
"""Between two tries to hold the store.  A renewal takes one round trip."""
GRACE_S: Final = 3.0
"""How long a cancelled renewal may still wait for its answer: more than a round trip, less than a person's patience."""


class HeldStore(Protocol):
    """The right to replace a stored sign-in; see `store.sign_in_file.HeldFile`."""

    def reserve(self) -> None: ...
    def save(self, sign_in: StoredSignIn, /) -> None: ...
    def release(self) -> None: ...


class SignInStore(Protocol):
    """Where a sign-in is kept; see `store.sign_in_file.SignInFile`.  The methods may block for a small file."""

    @property
    def path(self) -> Path: ...
    @property
    def server(self) -> tuple[str, str]: ...
    def load(self) -> StoredSignIn | None: ...
    def hold(self) -> HeldStore | None: ...


class Fallbacks(NamedTuple):
    """What may give a token where the stored sign-in cannot be renewed."""

    login: Login | None = None
    call: Supply | None = None


class StoredToken:
    """Makes token values (see `net.signin.Supply`) from the sign-in in `store`.

    `tell` takes notes for people.  `has_room`: whether a quota has room for one request soon.
    """

    def __init__(
        self,
        store: SignInStore,
        endpoint: TokenEndpoint,
        fallbacks: Fallbacks,
        *,
        tell: Callable[[str], object],
        has_room: Callable[[], bool],
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._login, self._call = fallbacks.login, fallbacks.call
        self._tell, self._has_room = tell, has_room
        self._handed = self._refused = ""
        self._is_called = False
        self._unsaved: StoredSignIn | None = None
        self._told: set[str] = set()

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        if is_refused:
            self._refused = self._handed
        stored = await self._load()
        if stored is None and is_first and self._login:
            stored = await self._first_sign_in(self._login)
        if stored is None:
            raise self._stop("there is no stored sign-in")
        is_usable = self._is_usable(stored)
        if is_usable and (not self._is_due(stored) or not self._has_room()):
            return self._hand(stored)
        held = await self._hold(is_patient=not is_usable)
        if held is None:  # another process renews it just now
            return self._hand(stored)
        return await with_grace(self._renew(held, is_refused=is_refused), GRACE_S)

    async def _first_sign_in(self, login: Login) -> StoredSignIn:
        """Sign in, unless another process has done it while this one waited for its turn."""
        held = await self._hold(is_patient=True)
        assert held is not None
        try:
            stored = await self._load()
        except BaseException:
            held.release()
            raise
        if stored is None:
            return await with_grace(self._sign_in_anew(held, login, ""), GRACE_S)
        held.release()
        return stored

    async def sign_in_anew(self, *, client_id: str = "") -> StoredSignIn:
        """Sign in with the password and store it, under the client id that the stored one has.

        Raises `ConfigurationStop` if the sign-in is refused or cannot be stored; then it is as it was before.
        """
        assert self._login is not None
        held = await self._hold(is_patient=True)
        assert held is not None
        return await with_grace(self._sign_in_anew(held, self._login, client_id), GRACE_S)

    async def _sign_in_anew(self, held: HeldStore, login: Login, client_id: str) -> StoredSignIn:
        try:
            await asyncio.to_thread(held.reserve)
            client_id = client_id or await self._client_id() or new_client_id()
            check_header(client_id, "client id")
            endpoint = self._endpoint._replace(client_id=client_id)
            made = self._made(await sign_in(login, endpoint), login.username, client_id)
            await asyncio.to_thread(held.save, made)
            return made
        finally:
            held.release()

    async def _client_id(self) -> str:
        """That of the stored sign-in; "" if there is none that can be read: the new one takes its place."""
        try:
            stored = await self._load()
        except ConfigurationStop:
            return ""
        return stored.client_id if stored else ""

    # what is there

    async def _load(self) -> StoredSignIn | None:
        """The newest sign-in: the stored one, or our own where that could not be saved."""
        stored, own = await asyncio.to_thread(self._store.load), self._unsaved
        return own if own and (stored is None or own.obtained_at > stored.obtained_at) else stored

    def _is_usable(self, stored: StoredSignIn) -> bool:
        return stored.access_token != self._refused and stored.is_good(self._endpoint.wall())

    def _is_due(self, stored: StoredSignIn) -> bool:
        return stored is self._unsaved or stored.is_due(self._endpoint.wall())

    def _hand(self, stored: StoredSignIn) -> tuple[str, float]:
        """The token, and when to ask again."""
        self._handed, wall_s = stored.access_token, self._endpoint.wall()
        if not self._is_due(stored):
            return stored.access_token, stored.renew_at - wall_s
        again_s = AGAIN_S if stored.refresh_token else LOOK_AGAIN_S
        left_s = again_s if stored.expires_at is None else (stored.expires_at - wall_s) / 2
        return stored.access_token, min(again_s, left_s)

    async def _hold(self, *, is_patient: bool) -> HeldStore | None:
        """Hold the store; None, or after the deadline `TryLater`, while another process does."""
        until = self._endpoint.clock() + self._endpoint.deadline_s
        while True:
            held = await asyncio.to_thread(self._store.hold)
            if held or not is_patient:
                return held
            if self._endpoint.clock() > until:
                raise TryLater(
                    f"another process has been renewing the stored sign-in {self._store.path} for "
                    f"{self._endpoint.deadline_s:g} s",
                    hint="look for a bulkwriter that hangs or is stopped; the same command later goes on",
                )
            await self._endpoint.sleep(HOLD_PAUSE_S)

    # another one

    async def _renew(self, held: HeldStore, *, is_refused: bool) -> tuple[str, float]:
        try:
            stored = await self._load()  # once more: whoever held the store before has renewed it
            if stored is None:
                raise self._stop("there is no stored sign-in")
            is_usable = self._is_usable(stored)
            if is_usable and not self._is_due(stored):
                return self._hand(stored)
            try:
                new = await self._another(held, stored)
            except BulkwriterError as error:
                if not is_usable:
                    raise
                self._warn(stored, f"the stored sign-in was not renewed: {error.message}")
                return self._hand(stored)
            if new is not None:
                return self._hand(new)
            if is_usable:
                return self._hand(stored)
        finally:
            held.release()
        if self._call:
            self._handed, again_s = await self._call(is_first=not self._is_called, is_refused=is_refused)
            self._is_called = True
            return self._handed, again_s
        raise self._stop("the stored sign-in has expired or was refused, and cannot be renewed")

    async def _another(self, held: HeldStore, stored: StoredSignIn) -> StoredSignIn | None:
        """A newer sign-in, saved; None if nothing but the token itself is left, and that is told."""
        await asyncio.to_thread(held.reserve)
        if stored is self._unsaved and not stored.is_due(self._endpoint.wall()):
            return await self._saved(held, stored)
        endpoint = self._endpoint._replace(client_id=stored.client_id)
        grant, has_answered = None, bool(self._handed)
        if stored.refresh_token:
            answer = await endpoint.ask(refresh_form(stored.refresh_token), has_answered=has_answered)
            grant, has_answered = granted(answer), True
            if grant is None and answer.status not in (400, 401):  # not a word on the refresh token
                raise refusal(answer, secrets=(stored.refresh_token,))
        if grant is None and self._login and self._login.username == stored.username:
            grant = await self._by_password(endpoint, has_answered=has_answered)
        if grant is not None:
            return await self._saved(held, self._made(grant, stored.username, stored.client_id))
        if stored.refresh_token:  # it was refused: nobody needs to ask again
            await self._saved(held, dataclasses.replace(stored, refresh_token=""))
        if not self._call:
            why = "its refresh token was spent without a reply, cancelled by another sign-in, or has expired"
            self._warn(stored, f"the stored sign-in cannot be renewed: {why}")
        return None

    async def _by_password(self, endpoint: TokenEndpoint, *, has_answered: bool) -> TokenGrant | None:
        """A sign-in with the password; None once it was refused, which is told."""
        assert self._login is not None
        try:
            return await sign_in(self._login, endpoint, has_answered=has_answered)
        except ConfigurationStop as error:
            self._login = None  # a wrong password asked again and again could lock the account
            self._say(f"{error.message}: the stored sign-in could not be replaced by a new one")
            return None

    async def _saved(self, held: HeldStore, new: StoredSignIn) -> StoredSignIn:
        """Save it.  Where that fails this process goes on with it, tries again, and says so."""
        try:
            await asyncio.to_thread(held.save, new)
        except ConfigurationStop as error:
            self._unsaved = new
            self._say(f"{error.message}; this process keeps the new one in memory and tries again")
        else:
            self._unsaved = None
        return new

    def _made(self, grant: TokenGrant, username: str, client_id: str) -> StoredSignIn:
        base_url, account = self._store.server
        wall_s = self._endpoint.wall()
        return StoredSignIn(
            base_url=base_url,
            account=account,
            username=username,
            client_id=client_id,
            obtained_at=wall_s,
            expires_at=wall_s + grant.life_s if grant.life_s < float("inf") else None,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
        )

    # what is told

    def _warn(self, stored: StoredSignIn, what: str) -> None:
        """Tell what went wrong, and until when the token is good all the same; for an expired one an error will."""
        if not self._is_usable(stored):
            return
        until = "until the server refuses it" if stored.expires_at is None else f"until {began(stored.expires_at)}"
        command = login_command(*self._store.server)
        self._say(f"{what}.  The token is good {until}; before that, sign in again: {command}")

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)

    def _stop(self, why: str) -> ConfigurationStop:
        command = login_command(*self._store.server)
        return ConfigurationStop(why, hint=f"sign in again: {command}; the same command then goes on", code="token")
