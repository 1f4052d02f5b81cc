"""Sources of bearer tokens: a fixed one, a caller's function, a file, or a sign-in that is renewed in time.

`current` answers from memory until half of the token's life has passed.  `refresh` is called when the server has
refused a token; it answers at once if a newer one is there.  Only one exchange is made, however many callers ask at
once (single flight).  All of them share its result, and a failure too: 64 lanes with a wrong password sign in once.  A
renewal that fails while the token is still good does no harm.

Invariants: generations count up by one.  A token that cannot be put into a header is never handed out.  No secret is
part of an error or of a `repr`.  Not here: whether a 401 on a *fresh* token ends the run, and all pauses (`core`,
`run`).
"""

from __future__ import annotations

import asyncio
import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ..clocks import MACHINE, Clocks
from ..errors import BulkwriterError, ConfigurationStop, TryLater, UsageError
from ..settings import Settings, TokenCall
from .api import check_header
from .signin import Judge, Login, RequestCall, SignIn, Supply, TokenEndpoint, TokenRequest, new_client_id, obtain
from .stored_token import Fallbacks, SignInStore, StoredToken

RENEW_MIN_S: Final = 1.0  # never sooner, or a token with a very short life would be renewed without end
RENEW_AGAIN_S: Final = 60.0  # pause after a renewal that failed because the server did not answer
LINE_BYTES: Final = 65_536  # of a file's first line; tokens and passwords are far shorter


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; `generation` counts those before it."""

    value: str = field(repr=False)
    generation: int


class TokenSource:
    """The tokens of one account.  Its methods may be cancelled: another waiting caller then makes the token."""

    def __init__(self, supply: Supply, *, clock: Callable[[], float] = MACHINE.clock) -> None:
        self.supply = supply
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._renew_at = math.inf
        self._failure: BulkwriterError | None = None
        self._failures = 0

    async def current(self) -> Token:
        """The token to use now.  It waits for the server the first time, and when most of the token's life has
        passed.
        """
        token = self._token
        if token is None:
            return await self._make(-1, is_refused=False)
        if self._clock() >= self._renew_at and not self._lock.locked():
            try:
                return await self._make(token.generation, is_refused=False)
            except TryLater:
                self._renew_at = self._clock() + RENEW_AGAIN_S
            except BulkwriterError:
                # The next word is the server's 401: a wrong password asked again and again could lock the account.
                self._renew_at = math.inf
        return token

    async def refresh(self, stale_generation: int) -> Token:
        """A token newer than `stale_generation`, which the server refused; at once if there is one."""
        token = self._token
        if token is not None and token.generation > stale_generation:
            return token
        return await self._make(stale_generation, is_refused=True)

    async def _make(self, stale_generation: int, *, is_refused: bool) -> Token:
        failures = self._failures
        async with self._lock:
            token = self._token
            if token is not None and token.generation > stale_generation:
                return token
            if self._failure is not None and self._failures > failures:
                raise copy.copy(self._failure)  # of the exchange that was waited for
            try:
                value, ask_again_s = await self.supply(is_first=token is None, is_refused=is_refused)
                check_header(value, "token")
            except BulkwriterError as error:
                self._failure = copy.copy(error)
                self._failures += 1
                raise
            self._renew_at = self._clock() + max(RENEW_MIN_S, ask_again_s)
            if token is None or is_refused or value != token.value:
                token = self._token = Token(value, token.generation + 1 if token else 0)
            return token


class TokenRefused(ConfigurationStop):
    """The server refused a token, and there is no other.  Its 401 may as well mean that the user lacks a role."""


class FixedToken:
    """A token given as text.  If the server refuses it, there is no other.  Raises `UsageError` if it cannot be a
    token.
    """

    def __init__(self, value: str, role: str) -> None:
        self._value = check_header(value, "token")
        self._role = role

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        if not is_first:
            raise refused("the token was refused (401)", self._role)
        return self._value, math.inf


class CalledToken:
    """Tokens from a function of the caller, which has `deadline_s` to answer.

    If it returns the same token again, there is no other.
    """

    def __init__(self, call: TokenCall, role: str, *, deadline_s: float) -> None:
        self._call = call
        self._role = role
        self._deadline_s = deadline_s
        self._last: str | None = None

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        value = await obtain(self._call, "token", deadline_s=self._deadline_s)
        if not isinstance(value, str):
            raise UsageError(f"the function that gives tokens answered with {type(value).__name__}, not with text")
        check_header(value, "token")  # before it is kept: a token that was never sent was never refused
        if value == self._last and not is_first:
            message = "the token was refused (401), and the function that gives tokens gave the same one again"
            raise refused(message, self._role)
        self._last = value
        return value, math.inf


class FileToken:
    """The first line of a file.  It is read again when the server refuses the token, so a new file renews the run."""

    def __init__(self, path: Path, role: str) -> None:
        self._path = path
        self._role = role
        self._last = token_in(path)
        # A pipe, such as a shell's <(…), gave its line already: reading it again would wait for ever.
        self._is_pipe = not path.is_file()

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        if is_first:
            return self._last, math.inf
        value = self._last
        try:
            if not self._is_pipe:
                value = await asyncio.to_thread(token_in, self._path)
        except UsageError as error:
            message = f"the token was refused (401), and there is no other: {error.message}"
            raise refused(message, self._role) from None
        if value == self._last:
            raise refused(f"the token in {self._path} was refused (401)", self._role)
        self._last = value
        return value, math.inf


class StoredUse(NamedTuple):
    """The stored sign-in that a `token_source` may use, and what `StoredToken` needs beside it."""

    store: SignInStore
    tell: Callable[[str], object] = lambda text: None
    has_room: Callable[[], bool] = lambda: True


def token_source(
    settings: Settings,
    *,
    request: RequestCall,
    token_request: TokenRequest,
    judge: Judge,
    role: str,
    clocks: Clocks,
    stored: StoredUse | None = None,
) -> TokenSource:
    """The source of tokens that the settings ask for: `stored_sign_in`, else `token`, `token_file` or `username`.

    `role` is the role that a refused token may lack.  The files of token and password are read now, once.  Raises
    `UsageError` if they are missing, empty or unusable, and if there is no way to a token.  Nothing is sent before the
    first `current`.
    """
    endpoint = TokenEndpoint(
        request=request,
        token_request=token_request,
        judge=judge,
        client_id=check_header(settings.client_id or new_client_id(), "client id"),
        deadline_s=settings.timeout_s,
        longest_wait_s=min(settings.longest_wait_s, settings.give_up_after_s),
        give_up_after_s=settings.give_up_after_s,
        rng=random.Random(),  # noqa: S311 jitter, not a secret
        sleep=clocks.sleep,
        wall=clocks.wall,
        clock=clocks.clock,
    )
    return TokenSource(supply_of(settings, endpoint, role, stored), clock=clocks.clock)


def supply_of(settings: Settings, endpoint: TokenEndpoint, role: str, stored: StoredUse | None) -> Supply:
    """What makes the tokens, the first way that the settings name."""
    token, called = settings.token, None
    if token is not None and not isinstance(token, str):
        called = CalledToken(token, role, deadline_s=settings.timeout_s)
    if stored is not None:
        fallbacks = Fallbacks(login=login_of(settings) if has_password(settings) else None, call=called)
        return StoredToken(stored.store, endpoint, fallbacks, tell=stored.tell, has_room=stored.has_room)
    if isinstance(token, str):
        return FixedToken(token, role)
    if called is not None:
        return called
    if settings.token_file is not None:
        return FileToken(settings.token_file, role)
    if settings.username is not None:
        return SignIn(login_of(settings), endpoint)
    raise UsageError(
        "no token",
        hint="sign in with `bulkwriter login`, set BULKWRITER_TOKEN, or give --token-file PATH, or --username with "
        "--password-file PATH",
    )


def has_password(settings: Settings) -> bool:
    return settings.username is not None and bool(settings.password or settings.password_file)


def login_of(settings: Settings) -> Login:
    username, password = settings.username or "", password_of(settings)
    for value, what in ((username, "user name"), (password, "password")):
        if any("\ud800" <= c <= "\udfff" for c in value):  # a byte that is no text, as Python carries it
            raise UsageError(f"the {what} is not text: it has bytes that are no UTF-8")
    return Login(username, password, totp_of(settings))


def password_of(settings: Settings) -> str:
    if settings.password is not None:
        return settings.password
    if settings.password_file is not None:
        return first_line(settings.password_file, "password")  # with its blanks, which may be part of it
    raise UsageError(
        f"no password for {settings.username}", hint="set BULKWRITER_PASSWORD, or give --password-file PATH"
    )


def totp_of(settings: Settings) -> Callable[[], str] | None:
    path = settings.totp_file
    if settings.totp is not None or path is None:
        return settings.totp
    return lambda: first_line(path, "two-factor code").strip()


def token_in(path: Path) -> str:
    """The token in a file.  White space around it goes: no token holds any (RFC 6750, section 2.1)."""
    return check_header(first_line(path, "token").strip(), "token")


def first_line(path: Path, what: str) -> str:
    """The first line of a file, without its end.  Raises `UsageError` where there is none."""
    try:
        with path.open("rb") as file:
            raw = file.readline(LINE_BYTES)
    except OSError as error:
        raise UsageError(f"the {what} cannot be read from {path}: {error.strerror}") from None
    # Not decoded strictly: a UnicodeDecodeError would carry the secret.
    line = raw.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    if not line.strip():
        raise UsageError(f"the first line of {path} is empty; it must hold the {what}")
    if "\N{REPLACEMENT CHARACTER}" in line:
        raise UsageError(f"the first line of {path} is not text; it must hold the {what}")
    return line


def refused(message: str, role: str) -> TokenRefused:
    return TokenRefused(message, hint=f"it is wrong or expired, or its user lacks the role {role}", code="token")
