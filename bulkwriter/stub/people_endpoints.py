"""The API's endpoints for people: coworkers, courses, lessons and enrolments.

All four are listed, read one by one, and read by ids; enrolments are created and deleted too.  The roles of one kind
are its own: `Coworker-List` opens the list of coworkers, `Coworker-Read` reads one by one and by ids.  What a token may
not see, since its locations are narrowed, is not there for it: not listed, not counted, not read.

Not here: creates, changes and deletes of coworkers, courses and lessons, which the API has and nobody here needs; they
are a 405.  Pure: `now` and chance are arguments.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson

from ..model import ID_MAX
from .community import FIRST_COURSE, FIRST_COWORKER, FIRST_LESSON, Community
from .listing import Listing, Shape
from .people_tables import Keep, tables_of
from .query import BadParameter, parse_ids, parse_query, read_flag
from .request import Request, id_in
from .responses import NO_SUCH_METHOD, NOT_FOUND, UNAUTHORIZED, Renderer, Response, as_json, envelope, refusal
from .scenario import Scenario
from .tokens import TokenStore
from .truth import doubled

MEMBER = "CourseMember"
FIELDS = ("CourseId", "CoworkerId")


class PeopleEndpoints:
    """Answers requests for people."""

    def __init__(
        self, community: Community, grants: TokenStore, *, rng: random.Random, offset_s: float, scenario: Scenario
    ) -> None:
        self.community, self._grants, self._rng, self._offset_s = community, grants, rng, offset_s
        self.retune(scenario, Renderer(offset_s, scenario.clock_skew_s))

    def retune(self, scenario: Scenario, renderer: Renderer) -> None:
        """Follow other knobs from now on; whoever was drawn stays."""
        self._scenario, self._renderer = scenario, renderer
        self._people = scenario.people or self.community.made_from
        self._tables = tables_of(self.community, self._people)
        shape = enrolment_shape(self.community)
        self._enrolments = Listing(self.community.enrolments, renderer, offset_s=self._offset_s, shape=shape)
        flags = {f"{MEMBER}_{name}".lower(): read_flag for name in ("Approved", "Blocked")}
        self._reads = {name: table.reads() for name, table in self._tables.items()}
        self._reads["enrolments"] = {**shape.reads(), **flags}

    def answer(self, request: Request, now: float) -> Response:
        """Apply a request and return the response to it."""
        head = request.head
        table = self._tables.get(head.resource)
        entity = table.entity if table else MEMBER
        try:
            match head.operation:
                case "list":
                    ids = parse_ids(head.query)
                    role = "List" if ids is None else "Read"
                    if not self._grants.allows(head.authorization, f"{entity}-{role}", now):
                        return UNAUTHORIZED
                    return self._list(request, now) if ids is None else self._read_batch(request, ids, now)
                case "read":
                    return self._with_role(request, f"{entity}-Read", self._read, now)
                case "create" if table is None:
                    return self._with_role(request, f"{entity}-Create", self._create, now)
                case "delete" if table is None:
                    return self._with_role(request, f"{entity}-Delete", self._delete, now)
                case _:
                    return NO_SUCH_METHOD
        except BadParameter as e:
            return self._rejection(400, ("", str(e), None))

    def describe(self) -> dict[str, Any]:
        """What the truth tells of people."""
        community, enrolments = self.community, self.community.enrolments
        extra, examples = doubled(enrolments)
        return {
            "enrolments": len(enrolments),
            "enrolments_seeded": enrolments.seeded,
            "enrolments_created": enrolments.created,
            "enrolments_deleted": enrolments.deleted,
            "enrolment_doubles": extra,
            "enrolment_double_examples": examples,
            "blocked": len(community.blocked),
            "unapproved": len(community.unapproved),
            "coworkers": len(community.coworkers),
            "courses": len(community.courses),
            "lessons": len(community.lessons),
        }

    def enrolments(self) -> list[dict[str, Any]]:
        """All enrolments by id, whoever may see them: Id, CourseId, CoworkerId, Approved, Blocked."""
        community = self.community
        return [
            {
                "Id": enrolment_id,
                FIELDS[0]: course_id,
                FIELDS[1]: coworker_id,
                "Approved": enrolment_id not in community.unapproved,
                "Blocked": enrolment_id in community.blocked,
            }
            for enrolment_id, course_id, coworker_id in community.enrolments.rows()
        ]

    def objections(self, lesson_id: int, enrolment_id: int) -> list[tuple[str, str, Any]]:
        """What keeps a lesson from being recorded as completed, by the knob `completions`."""
        rule, community = self._people.completions, self.community
        lesson, errors = community.lesson(lesson_id), list[tuple[str, str, Any]]()
        if rule == "any":
            return errors
        if lesson is None:
            errors.append(("CourseLessonId", "does not exist", lesson_id))
        elif rule == "open" and not lesson.is_active:
            errors.append(("CourseLessonId", "is not active", lesson_id))
        if community.enrolments.position(enrolment_id) is None:
            errors.append(("CourseMemberId", "does not exist", enrolment_id))
        elif rule == "open" and not community.has_open_enrolment(enrolment_id):
            errors.append(("CourseMemberId", "is blocked or not approved", enrolment_id))
        return errors

    def _with_role(
        self, request: Request, role: str, answer: Callable[[Request, float], Response], now: float
    ) -> Response:
        return answer(request, now) if self._grants.allows(request.head.authorization, role, now) else UNAUTHORIZED

    def _list(self, request: Request, now: float) -> Response:
        scenario, resource = self._scenario, request.head.resource
        query = parse_query(
            request.head.query, self._reads[resource],
            size_max=scenario.page_size_max, zone_offset_s=scenario.zone_offset_s,
        )  # fmt: skip
        if query.page > 1 and self._people.moves and self._rng.random() < self._people.moves:
            self.community.move()
        is_exact, sight = scenario.text_filter == "exact", self._sight(request)
        if resource in self._tables:
            return as_json(200, self._tables[resource].page(query, is_exact=is_exact, keep=sight))
        keep = self._with_flags(query.filters, sight)
        before = now - scenario.list_lag_s
        return as_json(200, self._enrolments.page(query, before=before, is_exact=is_exact, keep=keep))

    def _with_flags(self, filters: dict[str, Any], sight: Keep | None) -> Callable[[int], bool] | None:
        """Whether an enrolment at a position is asked for and seen; None: each of them."""
        community = self.community
        first_id = community.enrolments.first_id
        approved, blocked = (filters.get(f"{MEMBER}_{name}".lower()) for name in ("Approved", "Blocked"))
        if sight is None and approved is None and blocked is None:
            return None

        def chosen(position: int) -> bool:
            enrolment_id = first_id + position
            if approved is not None and approved is (enrolment_id in community.unapproved):
                return False
            if blocked is not None and blocked is not (enrolment_id in community.blocked):
                return False
            return sight is None or sight(enrolment_id)

        return chosen

    def _sight(self, request: Request) -> Keep | None:
        """Which records of a resource that are there, by id, the token of a request sees; None: all."""
        community, resource = self.community, request.head.resource
        seen = self._people.views.get(self._grants.by_header[request.head.authorization].holder)
        if seen is None and not community.hidden:
            return None

        def course(course_id: int) -> bool:
            return seen is None or community.courses[course_id - FIRST_COURSE].location in seen

        def coworker(coworker_id: int) -> bool:
            row = community.coworkers[coworker_id - FIRST_COWORKER]
            return coworker_id not in community.hidden and (seen is None or row.location in seen)

        def enrolment(enrolment_id: int) -> bool:
            course_id, coworker_id = community.pair_of(enrolment_id)
            return coworker_id not in community.hidden and course(course_id)

        match resource:
            case "coworkers":
                return coworker
            case "courses":
                return course
            case "lessons":
                return lambda lesson_id: course(community.lessons[lesson_id - FIRST_LESSON].course_id)
            case _:
                return enrolment

    def _sees(self, request: Request, sight: Keep | None, record_id: int) -> bool:
        """Whether a record is there, for the token of a request."""
        table = self._tables.get(request.head.resource)
        is_there = table.has(record_id) if table else self.community.enrolments.position(record_id) is not None
        return is_there and (sight is None or sight(record_id))

    def _read(self, request: Request, now: float) -> Response:
        record_id = id_in(request.head.path)
        if not self._sees(request, self._sight(request), record_id):
            return NOT_FOUND
        return as_json(200, self._record(request.head.resource, record_id))

    def _read_batch(self, request: Request, ids: list[int], now: float) -> Response:
        most, resource = self._people.batch_max, request.head.resource
        if most and len(ids) > most:
            if self._people.batch_over == "refuse":
                raise BadParameter(f"id: at most {most} ids may be asked for at once")
            ids = ids[:most]
        sight = self._sight(request)
        seen = [record_id for record_id in ids if self._sees(request, sight, record_id)]
        if resource in self._tables:
            return as_json(200, [self._record(resource, record_id) for record_id in seen])
        return as_json(200, self._enrolments.by_ids(seen, before=now - self._scenario.list_lag_s))

    def _record(self, resource: str, record_id: int) -> dict[str, Any]:
        if resource in self._tables:
            return self._tables[resource].record(record_id, is_listed=False)
        return self._enrolments.record(record_id - self.community.enrolments.first_id)

    def _create(self, request: Request, now: float) -> Response:
        try:
            fields = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return self._rejection(400, ("", "The request body is not valid JSON.", None))
        if not isinstance(fields, dict):
            return self._rejection(400, ("", "The request body is not a JSON object.", None))
        errors = self._wrong(fields)
        if errors:
            return self._rejection(400, *errors)
        community, (course_id, coworker_id) = self.community, (fields[name] for name in FIELDS)
        unique = self._people.unique
        if unique != "no" and community.enrolments.has_pair(course_id, coworker_id):
            if unique == "200":
                there = community.enrolments.find(course_id, coworker_id)
                return self._created(community.enrolments.first_id + there[0], now)
            return self._rejection(int(unique), ("CoworkerId", "is already a member of this course", coworker_id))
        enrolment_id = community.enrolments.add(course_id, coworker_id, now)
        if fields.get("Approved") is not True:
            community.unapproved.add(enrolment_id)
        if fields.get("Blocked") is True:
            community.blocked.add(enrolment_id)
        return self._created(enrolment_id, now)

    def _wrong(self, fields: dict[str, Any]) -> list[tuple[str, str, Any]]:
        """What is wrong with the fields of a new enrolment."""
        errors: list[tuple[str, str, Any]] = []
        is_there = (self.community.course, self.community.coworker)
        for name, find in zip(FIELDS, is_there, strict=True):
            value = fields.get(name)
            if value is None:
                errors.append((name, "is a required field", None))
            elif type(value) is not int or not 0 < value <= ID_MAX:
                errors.append((name, "is not a number", value))
            elif find(value) is None:
                errors.append((name, "does not exist", value))
        flags = (name for name in ("Approved", "Blocked") if not isinstance(fields.get(name, False), bool))
        return [*errors, *((name, "is neither true nor false", fields[name]) for name in flags)]

    def _created(self, enrolment_id: int, now: float) -> Response:
        made = envelope(f"{MEMBER} was successfully created.", {"Id": enrolment_id}, self._renderer.stamp(now))
        return as_json(200, made)

    def _delete(self, request: Request, now: float) -> Response:
        record_id = id_in(request.head.path)
        is_seen = self._sees(request, self._sight(request), record_id)
        if not is_seen or not self.community.enrolments.remove(record_id):
            return NOT_FOUND
        return as_json(200, envelope(f"{MEMBER} was successfully deleted.", None, self._renderer.stamp(now)))

    def _rejection(self, status: int, *errors: tuple[str, str, Any]) -> Response:
        body = refusal(*errors)
        return as_json(status, {"Status": 500} | body if self._scenario.status_in_rejections else body)


def enrolment_shape(community: Community) -> Shape:
    """How enrolments are shown and filtered."""

    def name(course_id: int, coworker_id: int) -> str:
        row = community.coworker(coworker_id)
        return row.full_name if row else ""

    def title(course_id: int, coworker_id: int) -> str:
        row = community.course(course_id)
        return row.title if row else ""

    def more(position: int) -> dict[str, Any]:
        enrolment_id = community.enrolments.first_id + position
        return {
            "CoworkerCoworkerType": "Individual",
            "LastCompletedLessonId": None,
            "LastCompletedLessonTitle": None,
            "LastAccess": None,
            "Approved": enrolment_id not in community.unapproved,
            "Blocked": enrolment_id in community.blocked,
        }

    return Shape(
        entity=MEMBER,
        fields=FIELDS,
        id_filters=(f"{MEMBER}_Course", f"{MEMBER}_Coworker"),
        texts={"CourseTitle": title, "CoworkerFullName": name},
        text_filters={
            "CourseTitle": f"{MEMBER}_Course_Title",
            "CoworkerFullName": f"{MEMBER}_Coworker_FullName",
        },
        more=more,
    )
