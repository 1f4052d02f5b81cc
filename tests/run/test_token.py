"""The token of a run: after a failure it is asked for again, the first one too."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from bulkwriter.errors import TryLater
from bulkwriter.net.auth import Token
from bulkwriter.run.token import TokenRefresh


class FailingTokens:
    """No token at the first call."""

    def __init__(self) -> None:
        self.asked = 0

    async def current(self) -> Token:
        self.asked += 1
        if self.asked == 1:
            raise TryLater("no token")
        return Token("t", 0)


async def test_a_first_token_that_failed_is_missing_until_it_is_asked_for_again() -> None:
    """A pair that was ready before there was any token could not try, so the writer was never well again."""
    anything: Any = SimpleNamespace(ready=[1], soon=lambda: None, create=print)
    tokens: Any = FailingTokens()
    refresh = TokenRefresh(tokens, anything, anything, anything, clock=lambda: 5.0)
    with pytest.raises(TryLater):
        await refresh.renew()
    assert (refresh.is_missing, refresh.since) == (True, math.inf)
    await refresh.again()
    assert (refresh.is_missing, refresh.since) == (False, 5.0)
