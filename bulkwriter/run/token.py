"""The bearer token in use: fetched before the first request, renewed before it expires, refreshed when it is refused.

The sender calls `encode` to make a request with it, and asks since when it is in use.  Nothing is sent while a token is
refreshed.  A reply to a request with an older token says nothing about the current one.

If no token can be had, or a fresh one is refused as well, sending is suspended (`core.suspension`).  `again` is asked
each time that something may be tried: for another token, or else for a request with the refused one, since the server
may have been wrong.

Invariant: there is at most one refresh for one refused token, however many replies say so.  Not here: where tokens come
from (`net.auth`), and when a refusal suspends sending (`core.rulings`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from ..core.pairs import Pairs
from ..errors import ConfigurationStop
from ..events import TokenRefreshed
from ..net.api import Api
from ..net.auth import Token, TokenSource
from .run_loop import RunLoop

RENEW_S: Final = 1.0
"""How often the token source is asked for a newer token.  It nearly always answers from memory."""


class TokenRefresh:
    """The current token of a run."""

    def __init__(
        self, tokens: TokenSource, api: Api, run: RunLoop, pairs: Pairs, *, clock: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._api = api
        self._run = run
        self._pairs = pairs
        self._clock = clock
        self._generation: int | None = None
        self._is_asking = False
        self.encode: Callable[[tuple[int, int]], bytes]
        """Makes the request for a pair."""
        self.since = math.inf
        """When the current token came.  Nothing is sent before that."""
        self.is_refreshed = False
        """Whether the server refused the token before this one."""

    async def begin(self) -> None:
        """Get ready to send.  The first call waits for a token; later calls return at once."""
        if self._generation is None:
            # All waiting callers ask at once.  The source makes one exchange for them, and all hear of its failure.
            token = await self._tokens.current()
            if self._generation is None:
                self._use(token, is_refreshed=False)

    @property
    def is_missing(self) -> bool:
        """Whether there is no token that may be used, and no other one is being asked for."""
        return self.since == math.inf and not self._is_asking

    async def again(self) -> None:
        """Get a token if there is none that may be used.  Raises the error of a source that has none."""
        if self._generation is None:
            await self.begin()
        elif self.is_missing:
            await self._refresh()

    async def renew(self) -> None:
        """Take a newer token if there is one.  The source makes it shortly before the current one expires."""
        if not self._pairs.ready:
            return
        if self._generation is None:  # doubts of an earlier start alone: no pair of the source asked for a token
            await self.begin()
            return
        if self.is_missing and self._run.suspension.error is None:  # no try asks for it any more
            await self._refresh()
            return
        token = await self._tokens.current()
        if token.generation != self._generation:
            self._run.tell(TokenRefreshed())
            self._use(token, is_refreshed=False)

    def refused(self, *, is_stopped: bool = False) -> None:
        """The server refused the current token.  Get another, and send nothing until it has come.

        `is_stopped`: this refusal suspends sending, so the next try gets it (`again`).
        """
        if self.since < math.inf:
            self.since = math.inf
            if not is_stopped:
                self._run.spawn(self._refresh)

    async def _refresh(self) -> None:
        """Get another token.  Raises the error that stops the run if there is none."""
        assert self._generation is not None
        self._is_asking = True
        try:
            token = await self._tokens.refresh(self._generation)
        except ConfigurationStop as error:
            if error.code == "token":  # there is no other: the next try takes the one that was refused
                self.since = self._clock()
            raise
        finally:
            self._is_asking = False
        self._run.tell(TokenRefreshed())
        self._use(token, is_refreshed=True)

    def _use(self, token: Token, *, is_refreshed: bool) -> None:
        self._generation = token.generation
        self.encode = partial(self._api.create, token.value)
        self.since, self.is_refreshed = self._clock(), is_refreshed
        self._run.soon()
