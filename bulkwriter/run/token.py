"""The bearer token in use: fetched before the first request, renewed before it expires, refreshed when it is refused.

The sender only asks to `encode` a pair with it, and since when it is in use.  While a token is refreshed nothing is
sent; a reply to a request with an older token says nothing about the current one.

Invariant: at most one refresh for one refused token, however many replies say so.  Where tokens come from is the
business of `net.auth`; when a refusal stops the run, that of `core.rulings`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from ..core.pairs import Pairs
from ..events import TokenRefreshed
from ..net.auth import Token, TokenSource
from .ports import Encoder
from .run_loop import RunLoop

RENEW_S: Final = 1.0
"""Time between two questions whether the token is still good for long; nearly always answered from memory."""


class TokenRefresh:
    """The current token of a run."""

    def __init__(
        self, tokens: TokenSource, api: Encoder, run: RunLoop, pairs: Pairs, *, clock: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._api = api
        self._run = run
        self._pairs = pairs
        self._clock = clock
        self._generation: int | None = None
        self.encode: Callable[[tuple[int, int]], bytes]
        """Makes the request for a pair."""
        self.since = math.inf
        """When the current token came; before that nothing is sent."""
        self.is_refreshed = False
        """Whether the server refused the one before."""

    async def begin(self) -> None:
        """Get ready to send: the first call waits for a token, later ones return at once."""
        if self._generation is None:
            # All who wait ask at once: the source makes one exchange for them, and one failure is told to all.
            token = await self._tokens.current()
            if self._generation is None:
                self._use(token, is_refreshed=False)

    async def renew(self) -> None:
        """Take a newer token if there is one: the source makes it when the current one nears its end."""
        if not self._pairs.ready:
            return
        if self._generation is None:  # doubts of an earlier start alone: no pair of the source asked for a token
            await self.begin()
            return
        token = await self._tokens.current()
        if token.generation != self._generation:
            self._run.tell(TokenRefreshed())
            self._use(token, is_refreshed=False)

    def refused(self) -> None:
        """The server refused the current token: get another, and send nothing until it is there."""
        if self.since < math.inf:
            self.since = math.inf
            self._run.spawn(self._refresh)

    async def _refresh(self) -> None:
        """Raises what stops the run where there is no other token."""
        assert self._generation is not None
        token = await self._tokens.refresh(self._generation)
        self._run.tell(TokenRefreshed())
        self._use(token, is_refreshed=True)

    def _use(self, token: Token, *, is_refreshed: bool) -> None:
        self._generation = token.generation
        self.encode = partial(self._api.create, token.value)
        self.since, self.is_refreshed = self._clock(), is_refreshed
        self._run.soon()
