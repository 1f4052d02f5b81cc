"""The bearer token in use: fetched before the first request, renewed before it expires, refreshed when it is refused.

The sender only knows an `encode` that carries a token, and since when it does.  While a token is refreshed nothing
is sent; a reply to a request with an older token says nothing about the current one.

Invariant: at most one refresh for one refused token, however many replies say so.  Where tokens come from is the
business of `net.auth`; when a refusal stops the run, that of `replies`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from ..events import Event, TokenRefreshed
from ..net.auth import Token, TokenSource
from .ports import Encoder
from .sender import Sender

RENEW_S: Final = 1.0
"""Time between two questions whether the token is still good for long; nearly always answered from memory."""


class Bearer:
    """Keeps the sender's token current."""

    def __init__(
        self,
        tokens: TokenSource,
        api: Encoder,
        sender: Sender,
        *,
        tell: Callable[[Event], None],
        quiet_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._tokens = tokens
        self._api = api
        self._sender = sender
        self._tell = tell
        self._quiet_s = quiet_s
        self._generation: int | None = None

    async def begin(self) -> None:
        """Get ready to send: the first call waits for a token, later ones return at once."""
        if self._generation is None:
            # All who wait ask at once: the source makes one exchange for them, and one failure is told to all.
            token = await self._tokens.current()
            if self._generation is None:
                self._use(token, is_refreshed=False)

    async def renew(self) -> None:
        """Take newer tokens for ever: the source makes one when the current one nears its end."""
        while True:
            await anyio.sleep(max(RENEW_S, self._quiet_s()))
            if not self._sender.has_ready:
                continue
            if self._generation is None:  # doubts of an earlier start alone: no pair of the source asked for a token
                await self.begin()
                continue
            token = await self._tokens.current()
            if token.generation != self._generation:
                self._tell(TokenRefreshed())
                self._use(token, is_refreshed=False)

    async def refresh(self) -> None:
        """The server refused the current token: get another.  Raises what stops the run where there is none."""
        assert self._generation is not None
        token = await self._tokens.refresh(self._generation)
        self._tell(TokenRefreshed())
        self._use(token, is_refreshed=True)

    def _use(self, token: Token, *, is_refreshed: bool) -> None:
        self._generation = token.generation
        self._sender.token_changed(partial(self._api.create, token.value), is_refreshed=is_refreshed)
