"""Finds people by e-mail, by the cheapest of three ways (`ways`), until the server was asked about every e-mail.

After each way the rows are held against the directory again, and what is still unknown is found by what is cheapest
then: the enrolled first, and the few that are left over one by one.

What a filter for e-mails does is not documented, so it is tested before it is believed: it must show a known person by
the e-mail with the case of its letters turned round, and must not show the whole list.  Where it does not, it is not
used.  Where listed people have no e-mail, their records are read by their ids, and the e-mail compared there.  Where
no other way is open, everybody is listed and read by ids.

Invariant: an e-mail counts as known only after a whole list, or an answer about it, was compared here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Final

import anyio

from ..amounts import quantity
from ..errors import ConfigurationStop
from ..net.calls import LANES
from .directory import Directory
from .fetch import BatchRefused, Lists, ShownPage, batch_size
from .records import EMAIL_OF_PERSON, PEOPLE, Kept, ListedPerson
from .ways import Situation, Way, cheapest, costs

FILTERED_MOST: Final = 1_000
"""A filter that shows more people than this for one e-mail selects nothing."""
FIRST_ID: Final = 1

GetUnknown = Callable[[], Awaitable[Collection[str]]]
"""The e-mails that rows still wait for."""


class PeopleFinder:
    """Finds people for one table.  `tell` says which way is taken, and what it costs."""

    def __init__(self, lists: Lists, directory: Directory, tell: Callable[[str], None]) -> None:
        self._lists = lists
        self._directory = directory
        self._tell = tell
        self._may_read = True
        self._may_filter = True
        self._is_filter_tested = False
        self._has_read_enrolled = False
        self._example: ListedPerson | None = None

    async def look(self) -> ShownPage:
        """The first page of the list of people: how many they are, and whether it shows e-mails."""
        page = await self._lists.first(PEOPLE)
        self._take(page.rows)
        return page

    def situation(self, emails: int, sample: ShownPage) -> Situation:
        unread = [] if self._has_read_enrolled else self._directory.unread(self._directory.enrolled())
        return Situation(
            emails=emails,
            everybody=sample.place.total,
            page_size=sample.place.page_size,
            pages_read=1,
            enrolled=len(unread),
            batch=batch_size(unread),
            shows_emails=shows_emails(sample),
            may_read=self._may_read,
            may_filter=self._may_filter,
        )

    async def find(self, unknown: GetUnknown) -> None:
        """MustAsk until nothing is unknown.  Raises `ConfigurationStop` where nothing can be asked, and `TryLater`."""
        sample: ShownPage | None = None
        while not self._directory.is_everybody_known and (emails := await unknown()):
            sample = sample or await self.look()
            it = self.situation(len(emails), sample)
            way = cheapest(it)
            calls = costs(it)[way] if way else it.everybody
            self._lists.expect(calls)
            if way is not None:
                asked = f"{quantity(len(emails), 'e-mail')}: {way.value}, about {quantity(calls, 'list call')}"
                self._tell(f"{asked}{others(it, way)}")
            match way:
                case Way.EVERYBODY:
                    self._take(await self._lists.whole(PEOPLE))
                    self._directory.add_everybody()
                case Way.ENROLLED:
                    await self._read_enrolled()
                case Way.ONE_BY_ONE:
                    await self._ask_each(emails, sample)
                case None:
                    await self._read_everybody()

    async def _read_enrolled(self) -> None:
        self._has_read_enrolled = True
        try:
            await self._read(self._directory.unread(self._directory.enrolled()))
            self._directory.add_enrolled()
        except BatchRefused as refused:
            self._may_read = False
            self._tell(f"people cannot be read by their ids ({refused.reason}), so another way is taken")

    async def _read_everybody(self) -> None:
        """The last resort: list everybody, and read the records for their e-mails."""
        everybody = [person.id for person in await self._lists.whole(PEOPLE)]
        try:
            await self._read(self._directory.unread(everybody))
        except BatchRefused as refused:
            raise cannot_read(refused) from None
        self._directory.add_everybody()

    async def _ask_each(self, emails: Iterable[str], sample: ShownPage) -> None:
        if not await self._is_filter_good(sample):
            self._may_filter = False
            self._tell("the server's filter for e-mails does not select by them, so another way is taken")
            return
        unread: set[int] = set()
        answered: list[str] = []
        waiting = iter(emails)

        async def ask(turn: Iterator[str]) -> None:
            for email in turn:
                found = await self._lists.whole(PEOPLE, {EMAIL_OF_PERSON: email.strip()})
                self._take(found)
                unread.update(row.id for row in found if isinstance(row, ListedPerson) and not row.email)
                answered.append(email)

        async with anyio.create_task_group() as group:
            for _ in range(LANES):
                group.start_soon(ask, waiting)
        if not shows_emails(sample) and unread:
            await self._compare(unread)
        for email in answered:
            self._directory.add_answer(email)

    async def _compare(self, people: Iterable[int]) -> None:
        """Read whom a filter has shown without an e-mail: it may have looked for a part of it only."""
        try:
            await self._read(people)
        except BatchRefused as refused:
            raise cannot_read(refused) from None

    async def _is_filter_good(self, sample: ShownPage) -> bool:
        """Whether the filter finds a known person, in whatever case, and not everybody."""
        if self._is_filter_tested:
            return True
        if self._example is None:
            await self._compare(sample.ids[:FIRST_ID])
        self._is_filter_tested = True
        example = self._example
        if example is None:
            return False
        page = await self._lists.first(PEOPLE, {EMAIL_OF_PERSON: example.email.swapcase()})
        is_all = page.place.total >= sample.place.total > 1
        return example.id in page.ids and page.place.total <= FILTERED_MOST and not is_all

    async def _read(self, people: Iterable[int]) -> None:
        self._take(await self._lists.by_ids(PEOPLE, people))

    def _take(self, rows: Iterable[Kept | None]) -> None:
        people = [row for row in rows if isinstance(row, ListedPerson)]
        self._directory.add_people(person for person in people if person.email)
        if self._example is None:
            self._example = next((p for p in people if p.email.strip() == p.email != p.email.swapcase()), None)


def shows_emails(page: ShownPage) -> bool:
    """Whether listed people have their e-mails."""
    return any(isinstance(row, ListedPerson) and row.email for row in page.rows)


def others(it: Situation, way: Way) -> str:
    """What the other ways would take: " (one e-mail at a time: 20,000)"."""
    rest = [f"{other.value}: {cost:,}" for other, cost in costs(it).items() if other is not way]
    return f" ({'; '.join(rest)})" if rest else ""


def cannot_read(refused: BatchRefused) -> ConfigurationStop:
    return ConfigurationStop(
        f"lists show people without their e-mails, and their records cannot be read: {refused.reason}",
        hint=f"give the user of this sign-in the role {PEOPLE.read_role}",
    )
