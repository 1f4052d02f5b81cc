"""The API's endpoints: a whole request goes in, a response comes out, and the table of records changes on the way.

One `Endpoints` holds the state of one server: its records, its tokens and, where the scenario has any, its people.  It
knows no connection, no throttle and no fault.  The caller of `answer` decides when a request is applied, and whether
its client gets the response.

The order of checks is that of the real server: path and method, token and role (401 for both), the body (400),
duplicates.  Pure: `now` is an argument.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from ..model import ID_MAX
from .fields import Ranges
from .listing import COMPLETIONS, Listing
from .query import BadParameter, parse_ids, parse_query
from .records import Records
from .request import TOKEN, Request, id_in
from .responses import (
    ENTITY,
    NO_SUCH_METHOD,
    NO_SUCH_PATH,
    NOT_FOUND,
    UNAUTHORIZED,
    Renderer,
    Response,
    as_json,
    envelope,
    refusal,
)
from .scenario import Scenario
from .tokens import ROLES, TokenStore

if TYPE_CHECKING:
    from .people_endpoints import PeopleEndpoints

EXISTING_AGE_S = 86_400.0
"""Existing records were made a day before the stub started."""
CREATE, LIST, READ, DELETE = (f"{ENTITY}-{role}" for role in ROLES)


class Endpoints:
    """Answers requests from one server's records and tokens."""

    def __init__(self, scenario: Scenario, *, now: float, wall_s: float) -> None:
        offset_s = wall_s - now
        self.records = Records(scenario.first_id)
        self._seeded_at = now - EXISTING_AGE_S
        self.records.seed(scenario.existing_pairs(), self._seeded_at)
        self.grants = TokenStore(
            scenario.tokens, scenario.users, token_life_s=scenario.token_life_s,
            refresh_life_s=scenario.refresh_life_s, rng=scenario.rng("tokens"),
        )  # fmt: skip
        self._offset_s = offset_s
        self._answers: dict[str, Callable[[Request, float], Response]] = {
            "create": self._create, "list": self._list, "read": self._read, "delete": self._delete,
            "token": self._token, "other": self._other, "people": self._ask_people,
        }  # fmt: skip
        self.people: PeopleEndpoints | None = None
        self.retune(scenario)

    def retune(self, scenario: Scenario) -> None:
        """Follow another scenario from now on; records and issued tokens stay."""
        self._scenario = scenario
        self.renderer = Renderer(self._offset_s, scenario.clock_skew_s)
        self._listing = Listing(self.records, self.renderer, offset_s=self._offset_s)
        if scenario.people is not None and self.people is None:
            self.people = people_endpoints(scenario, self.grants, self._offset_s, seeded_at=self._seeded_at)
        elif self.people is not None:
            self.people.retune(scenario, self.renderer)
        has_known = scenario.known_lessons is not None or scenario.known_members is not None
        self._has_rules = scenario.unique != "no" or has_known or self.people is not None
        self._reads = COMPLETIONS.reads()
        self.grants.retune(
            scenario.tokens, scenario.users,
            token_life_s=scenario.token_life_s, refresh_life_s=scenario.refresh_life_s,
        )  # fmt: skip

    def answer(self, request: Request, now: float) -> Response:
        """Apply a request and return the response to it."""
        return self._answers[request.head.route](request, now)

    def _create(self, request: Request, now: float) -> Response:
        if not self.grants.allows(request.head.authorization, CREATE, now):
            return UNAUTHORIZED
        try:
            fields = orjson.loads(request.body)
            lesson_id, member_id = fields["CourseLessonId"], fields["CourseMemberId"]
        except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
            return self._refuse(request.body)
        is_whole = type(lesson_id) is int and type(member_id) is int  # a bool is an int, but not by `type`
        if not is_whole or not 0 < lesson_id <= ID_MAX or not 0 < member_id <= ID_MAX:
            return self._refuse(request.body)
        if self._has_rules:
            judged = self._judge(lesson_id, member_id, now)
            if judged is not None:
                return judged
        return self.renderer.created(self.records.add(lesson_id, member_id, now), now)

    def _judge(self, lesson_id: int, member_id: int, now: float) -> Response | None:
        """The response to a well-formed pair that makes no record, if the scenario has a rule against it."""
        scenario = self._scenario
        errors: list[tuple[str, str, Any]] = []
        if not _is_known(lesson_id, scenario.known_lessons):
            errors.append(("CourseLessonId", "does not exist", lesson_id))
        if not _is_known(member_id, scenario.known_members):
            errors.append(("CourseMemberId", "does not exist", member_id))
        if self.people is not None:
            errors += self.people.objections(lesson_id, member_id)
        if errors:
            return self._rejection(400, *errors)
        if scenario.unique != "no" and self.records.has_pair(lesson_id, member_id):
            if scenario.unique == "200":
                there = self.records.find(lesson_id, member_id)
                return self.renderer.created(self.records.first_id + there[0], now)
            return self._rejection(
                int(scenario.unique), ("CourseMemberId", "has already completed this lesson", member_id)
            )
        return None

    def _refuse(self, body: bytes) -> Response:
        """Say what is wrong with a body that holds no pair."""
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            return self._rejection(400, ("", "The request body is not valid JSON.", None))
        if not isinstance(fields, dict):
            return self._rejection(400, ("", "The request body is not a JSON object.", None))
        errors: list[tuple[str, str, Any]] = []
        for name in ("CourseLessonId", "CourseMemberId"):
            value = fields.get(name)
            if value is None:
                errors.append((name, "is a required field", None))
            elif type(value) is not int:
                errors.append((name, "is not a number", value))
            elif not 0 < value <= ID_MAX:
                errors.append((name, "is out of range", value))
        return self._rejection(400, *errors)

    def _rejection(self, status: int, *errors: tuple[str, str, Any]) -> Response:
        body = refusal(*errors)
        return as_json(status, {"Status": 500} | body if self._scenario.status_in_rejections else body)

    def _list(self, request: Request, now: float) -> Response:
        if not self.grants.allows(request.head.authorization, LIST, now):
            return UNAUTHORIZED
        scenario, raw = self._scenario, request.head.query
        before = now - scenario.list_lag_s
        try:
            ids = parse_ids(raw)
            if ids is not None:
                return as_json(200, self._listing.by_ids(ids, before=before))
            query = parse_query(raw, self._reads, size_max=scenario.page_size_max, zone_offset_s=scenario.zone_offset_s)
            return as_json(200, self._listing.page(query, before=before, is_exact=scenario.text_filter == "exact"))
        except BadParameter as e:
            return self._rejection(400, ("", str(e), None))

    def _read(self, request: Request, now: float) -> Response:
        if not self.grants.allows(request.head.authorization, READ, now):
            return UNAUTHORIZED
        position = self.records.position(id_in(request.head.path))
        return NOT_FOUND if position is None else as_json(200, self._listing.record(position))

    def _delete(self, request: Request, now: float) -> Response:
        if not self.grants.allows(request.head.authorization, DELETE, now):
            return UNAUTHORIZED
        if not self.records.remove(id_in(request.head.path)):
            return NOT_FOUND
        return as_json(200, envelope(f"{ENTITY} was successfully deleted.", None, self.renderer.stamp(now)))

    def _token(self, request: Request, now: float) -> Response:
        headers = request.head.headers
        status, value = self.grants.exchange(
            headers.get(b"content-type", b""), request.body,
            client_id=headers.get(b"client_id", b"").decode("latin-1"), now=now,
        )  # fmt: skip
        return as_json(status, value)

    def _other(self, request: Request, now: float) -> Response:
        is_ours = request.head.resource or request.head.path == TOKEN
        return NO_SUCH_METHOD if is_ours else NO_SUCH_PATH

    def _ask_people(self, request: Request, now: float) -> Response:
        return NO_SUCH_PATH if self.people is None else self.people.answer(request, now)


def people_endpoints(scenario: Scenario, grants: TokenStore, offset_s: float, *, seeded_at: float) -> PeopleEndpoints:
    """Draw the scenario's people.  Their modules are imported now: a server without people has none of them."""
    from .community import Community
    from .people_endpoints import PeopleEndpoints

    assert scenario.people is not None
    community = Community(scenario.people, scenario.rng("people"), seeded_at=seeded_at)
    return PeopleEndpoints(community, grants, rng=scenario.rng("moves of people"), offset_s=offset_s, scenario=scenario)


def _is_known(value: int, known: Ranges | None) -> bool:
    if known is None:
        return True
    place = bisect_right(known, (value, ID_MAX)) - 1
    return place >= 0 and value <= known[place][1]
