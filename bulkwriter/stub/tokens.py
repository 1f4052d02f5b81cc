"""Who may do what: static tokens, and the token endpoint's sign-in, refresh, expiry and rotation.

`POST /api/token` takes a form: `grant_type=password` with user name, password and, where the user has one, `totp`; or
`grant_type=refresh_token` with the refresh token and the *header* `client_id` that signed in (the user name where none
was given).  A refresh token works once and is lost when the same user signs in again under the same client_id; access
tokens already out stay good until they expire.  Every refusal is a 400 with `error` and `error_description`.

An `AccessToken` is found by the whole `Authorization` header value, so that a good one costs one look-up.
Pure: `now` and the generator are arguments.  Source: RFC 6749 sections 4.3 and 6, and the API's own pages.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from .fields import check, knob, many, one_of, text

ROLES = ("Create", "List", "Read", "Delete")
ENTITIES = ("CourseCompletedLesson", "CourseMember", "CourseLesson", "Course", "Coworker")
"""The names of the kinds of records in roles: `Create` alone is that role for each of them."""
ENTITY_ROLES = tuple(f"{entity}-{role}" for entity in ENTITIES for role in ROLES)
DEFAULT_TOKEN = "stub-token"  # noqa: S105  # opens only the stub, which holds nothing
FORM = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may sign in."""

    username: str = knob("admin@example.com", text, "user name")
    password: str = knob("stub-password", text, "password")
    totp: str = knob("", text, "two-factor code that the sign-in must give; empty: none")
    roles: tuple[str, ...] = knob(
        ROLES,
        many(one_of(*ROLES, *ENTITY_ROLES)),
        f"of {', '.join(ROLES)}, or one of these for one kind of record: Coworker-List",
    )

    def __post_init__(self) -> None:
        check(self)


def read_tokens(value: Any) -> Mapping[str, tuple[str, ...]]:
    """{token: roles}; a bare list of tokens gives each all roles."""
    if isinstance(value, list | tuple):
        value = dict.fromkeys(value, ROLES)
    if not isinstance(value, Mapping) or not all(isinstance(token, str) for token in value):
        raise ValueError("tokens is neither a list of tokens nor a mapping of tokens to roles")
    return {token: many(one_of(*ROLES, *ENTITY_ROLES))(roles) for token, roles in value.items()}


class AccessToken:
    """What one access token allows, and who holds it: the token itself, or the user it was issued to.

    `is_worn`: it has been good for something since it was last called expired.
    """

    __slots__ = ("expires_at", "holder", "is_issued", "is_worn", "roles")

    def __init__(self, holder: str, roles: Sequence[str], expires_at: float, *, is_issued: bool) -> None:
        self.holder = holder
        self.roles = frozenset(
            name for role in roles for name in ENTITY_ROLES if name == role or role == name.split("-")[1]
        )
        self.expires_at = expires_at
        self.is_issued = is_issued
        self.is_worn = False


class _Refresh(NamedTuple):
    username: str
    client_id: str
    expires_at: float


class TokenStore:
    """All tokens of a stub."""

    def __init__(
        self,
        static: Mapping[str, Sequence[str]],
        users: Sequence[User],
        *,
        token_life_s: float,
        refresh_life_s: float,
        rng: random.Random,
    ) -> None:
        self._rng = rng
        self._refreshes: dict[str, _Refresh] = {}
        self.by_header: dict[bytes, AccessToken] = {}
        """Grants by `Authorization` value; static ones never expire."""
        self.retune(static, users, token_life_s=token_life_s, refresh_life_s=refresh_life_s)

    def retune(
        self, static: Mapping[str, Sequence[str]], users: Sequence[User], *, token_life_s: float, refresh_life_s: float
    ) -> None:
        """Take over other tokens, users and lives; what was issued stays as good as it was."""
        self._users = {user.username: user for user in users}
        self._token_life_s, self._refresh_life_s = token_life_s, refresh_life_s
        self.by_header = {header: grant for header, grant in self.by_header.items() if grant.is_issued}
        for token, roles in static.items():
            self.by_header[b"Bearer " + token.encode()] = AccessToken(token, roles, float("inf"), is_issued=False)

    def allows(self, header: bytes, role: str, now: float) -> bool:
        grant = self.by_header.get(header)
        if grant is None or role not in grant.roles or now >= grant.expires_at:
            return False
        grant.is_worn = True
        return True

    def expire(self, header: bytes, now: float) -> bool:
        """Call a worn token expired: an issued one is from now on, a static one only this once.  False: not worn."""
        grant = self.by_header.get(header)
        if grant is None or not grant.is_worn:
            return False
        grant.is_worn = False
        if grant.is_issued:
            grant.expires_at = min(grant.expires_at, now)
        return True

    def exchange(self, content_type: bytes, body: bytes, *, client_id: str, now: float) -> tuple[int, dict[str, Any]]:
        """Status and JSON for a request to the token endpoint."""
        if content_type.partition(b";")[0].strip().lower() != FORM:
            return _refused("unsupported_grant_type", "the body is not a form")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        match form.get("grant_type"):
            case "password":
                return self._sign_in(form, form.get("client_id") or client_id, now)
            case "refresh_token":
                return self._refresh(form.get("refresh_token", ""), client_id, now)
            case _:
                return _refused("unsupported_grant_type", "grant_type is neither password nor refresh_token")

    def _sign_in(self, form: Mapping[str, str], client_id: str, now: float) -> tuple[int, dict[str, Any]]:
        user = self._users.get(form.get("username", ""))
        if user is None or form.get("password") != user.password:
            return _refused("invalid_grant", "The user name or password is incorrect.")
        if user.totp and form.get("totp") != user.totp:
            return _refused("invalid_grant", "The two-factor code is missing or incorrect.")
        client_id = client_id or user.username
        for token, earlier in list(self._refreshes.items()):
            if earlier.username == user.username and earlier.client_id == client_id:
                del self._refreshes[token]
        return self._issue(user, client_id, now)

    def _refresh(self, token: str, client_id: str, now: float) -> tuple[int, dict[str, Any]]:
        held = self._refreshes.get(token)
        user = self._users.get(held.username) if held else None
        if held is None or user is None or now >= held.expires_at:
            return _refused("invalid_grant", "The refresh token is unknown, spent or expired.")
        if client_id != held.client_id:
            return _refused("invalid_grant", "The client_id header is not the one that signed in.")
        del self._refreshes[token]
        return self._issue(user, held.client_id, now)

    def _issue(self, user: User, client_id: str, now: float) -> tuple[int, dict[str, Any]]:
        access, refresh = (f"{self._rng.getrandbits(128):032x}" for _ in range(2))
        self.by_header[b"Bearer " + access.encode()] = AccessToken(
            user.username, user.roles, now + self._token_life_s, is_issued=True
        )
        self._refreshes[refresh] = _Refresh(user.username, client_id, now + self._refresh_life_s)
        return 200, {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": int(self._token_life_s),
            "refresh_token": refresh,
        }


def _refused(error: str, description: str) -> tuple[int, dict[str, Any]]:
    return 400, {"error": error, "error_description": description}
