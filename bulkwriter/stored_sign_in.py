"""A sign-in that is kept for all runs of a user: what it holds, and when it is to be renewed.

`bulkwriter login` makes one for a base URL and an account.  It holds an access token, which every run uses, and a
refresh token, which works once and brings the next pair.  Times are epoch seconds of this machine's clock.

The access token is renewed at half of its life.  A process that is killed after the refresh token was spent, and before
the next one was saved, loses the refresh token alone: the access token stays good for the other half.

Pure.  Not here: the file (`store.sign_in_file`), and the renewal itself (`net.stored_token`).
Source: the API's documentation of /api/token: `expires_in` is 604,799 s, a refresh token lives 15 days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .settings import DEFAULT_BASE_URL
from .shell import join

RENEW_SHARE: Final = 0.5
"""Of the access token's life.  More means fewer renewals, and less time to sign in again after a lost one."""
REFRESH_LIFE_S: Final = 15 * 86_400.0
"""The life of a refresh token.  An access token that names no end is renewed at half of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignIn:
    """One sign-in.  `expires_at` None: the server named no end.  `refresh_token` "": there is none that works."""

    base_url: str
    account: str
    username: str
    client_id: str
    obtained_at: float
    expires_at: float | None
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @property
    def renew_at(self) -> float:
        """When it is due.  With a life of 7 days this is 3.5 days after it was obtained."""
        life_s = REFRESH_LIFE_S if self.expires_at is None else self.expires_at - self.obtained_at
        return self.obtained_at + RENEW_SHARE * min(life_s, REFRESH_LIFE_S)

    def is_due(self, wall_s: float) -> bool:
        """Whether it is to be renewed.  A clock that was set back tells nothing, so that counts as due as well."""
        return wall_s >= self.renew_at or wall_s < self.obtained_at

    def is_good(self, wall_s: float) -> bool:
        """Whether the access token has not expired."""
        return self.expires_at is None or wall_s < self.expires_at


def login_command(base_url: str, account: str) -> str:
    """The command that signs in again for a server and an account."""
    server = [] if base_url == DEFAULT_BASE_URL else ["--base-url", base_url]
    return join(["bulkwriter", "login", *server, *(["--account", account] if account else [])])
