"""`bulkwriter check [SOURCE]`: everything that a long run stands on, looked at before its first write.

One line a check, in this order; a check that fails hides no other:

    settings   what can be refused before anything is sent
    server     its name, the connection, its certificate
    token      whether the server takes it, and whether it outlives the run that SOURCE needs
    roles      -List by a list of one record; -Create by one POST of `{}`, only with --probe, since it counts as a write
    clock      the server's Date beside this machine's
    quotas     what is spent of each window
    disk       room for the journal that SOURCE needs
    source     its rows, and the most frequent reasons of bad ones
    date       a record shows the day of the backfill, since the API has no other date

It waits for nothing but replies: where a quota is spent it says so.  It writes nothing but what the ledger counts.
Exit codes in their order: 2 settings, 5 journal, ledger or disk, 6 source, 4 sign-in or roles, 75 unreachable, 1 bad
rows, 0 nothing to mend.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import BulkwriterError, Exit
from ..model import State, began, moment
from ..settings import Settings
from ..stored_sign_in import login_command
from . import choose, describe, options, reason_lines
from .lifecycle import CountingCommand, Invocation
from .plan import DATE_WORDS, finish_lines
from .stdout import put
from .survey import outlook_for, survey

if TYPE_CHECKING:
    from ..entities import Entity
    from ..model import Reply
    from ..server_client import ServerClient
    from .last_start import RunState
    from .source_counts import SourceCounts

ROW_BYTES: Final = 100
"""A row of the journal takes about 60 bytes; its log (-wal) takes some more for a while."""
SPARE_BYTES: Final = 64 << 20
"""More room than a run needs beside its rows."""
CLOCK_S: Final = 5.0
"""A Date tells whole seconds, and a reply takes its time: less apart is the same."""
ORDER: Final = (Exit.JOURNAL, Exit.SOURCE, Exit.CONFIGURATION, Exit.TRY_LATER, Exit.INCOMPLETE, Exit.OK)

EXAMPLES = (
    ("bulkwriter check pairs.csv --token-file token", "looks at everything before the first write; writes nothing"),
    ("bulkwriter check --token-file token --probe", "also tries whether this user may create; counts as one write"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.  `code` 0 is good; `is_open`: it could not be told."""

    name: str
    text: str
    code: Exit = Exit.OK
    is_open: bool = False

    @property
    def word(self) -> str:
        return "FAIL" if self.code else "?" if self.is_open else "ok"


@click.command("check", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("source", metavar="[SOURCE]", required=False, type=options.SOURCE)
@options.plain("--probe", "send one POST of {} to see whether this user may create", "probe", is_flag=True)
@options.plain("--journal", "journal of the run [default SOURCE.journal]", "journal", metavar="PATH", type=options.PATH)
@options.column_options
@options.option("--rate", "rate", metavar="N/s", type=options.rate)
@options.connection_options
@options.quota_options
@options.wait_options
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, source: str | None, **given: Any) -> int:
    """Check settings, server, token, roles, clock, quotas, disk and SOURCE before the first write.

    It sends one list call, a sign-in where one is needed, and nothing else; --probe adds one POST of an empty record.
    """
    invocation = Invocation(ctx, {**given, "retry": None, "existing": None})
    check = Check(invocation, source)
    code = invocation.conduct(check)
    if check.findings and not given["as_json"]:
        put("\n".join(check.text()))
    return code


class Check(CountingCommand):
    """The checks of one command line.  `findings` grows as they are made."""

    def __init__(self, invocation: Invocation, source: str | None) -> None:
        self.findings: list[Finding] = []
        self._invocation, self._options = invocation, invocation.options
        self._source = source
        self._counts: SourceCounts | None = None
        self._run_state: RunState | None = None
        self._no_sign_in: Finding | None = None

    def prepare(self) -> Settings:
        if self._source:
            choose.check_source(self._source, self._options)
            choose.check_there(self._source)
        settings = self._settings()
        self._add("settings", f"{settings.base_url}, quotas {quotas_in_words(settings)}")
        return dataclasses.replace(settings, on_quota="stop")  # so that a spent quota is told and not waited for

    def _settings(self) -> Settings:
        """The settings; without a way to sign in they serve for all that needs no server."""
        try:
            return self._invocation.settings(self._journal)
        except BulkwriterError as error:
            if not isinstance(error, choose.NoToken) and error.exit_code is not Exit.CONFIGURATION:
                raise
            self._no_sign_in = Finding("token", error.typed(), Exit.CONFIGURATION)
        self._invocation.go_offline()
        return self._invocation.settings(self._journal)

    @property
    def _journal(self) -> Path | None:
        given: Path | None = self._options["journal"]
        if given or not self._source or self._source == "-":
            return given
        return choose.journal_path(self._source, None)

    async def work(self, settings: Settings) -> None:
        await self._look_at_source(settings)
        if self._journal:
            self._look_at_disk(self._journal)
        try:
            self._look_at_quotas(settings)
            if self._no_sign_in:
                self.findings.append(self._no_sign_in)
            else:
                await self._look_at_server(settings)
        except BulkwriterError as error:
            self._failed(part_of(error), error)
        self._add("date", DATE_WORDS)

    # the parts

    async def _look_at_source(self, settings: Settings) -> None:
        if not self._source:
            return
        try:
            found = await survey(self._invocation, self._source, settings, self._journal)
        except BulkwriterError as error:
            self._failed("source" if error.exit_code is not Exit.JOURNAL else "journal", error)
            return
        self._counts, self._run_state = found.counts, found.run_state
        self._add("source", source_words(found.counts), found.counts.exit_code)

    def _look_at_disk(self, journal: Path) -> None:
        rows = self._counts.rows if self._counts else 0
        needed = rows * ROW_BYTES + SPARE_BYTES
        folder = journal.resolve().parent
        try:
            facts = os.statvfs(folder)
        except OSError as e:
            self._add("disk", f"{folder}: {e.strerror}", Exit.JOURNAL)
            return
        free = facts.f_bavail * facts.f_frsize
        text = f"{free / 1e6:,.0f} MB free in {folder}, about {needed / 1e6:,.0f} MB needed"
        if not os.access(folder, os.W_OK | os.X_OK):
            self._add("disk", f"{folder} cannot be written, and the journal is kept there", Exit.JOURNAL)
        else:
            self._add("disk", text, Exit.OK if free >= needed else Exit.JOURNAL)

    def _look_at_quotas(self, settings: Settings) -> None:
        from ..run.token_life import token_warning
        from .outlook import window_words

        outlook = outlook_for(settings, self._run_state)
        for window in outlook.concerned():
            spent = outlook.spent(window)
            counted = "paced evenly" if spent is None else f"{spent:,} spent"
            self._add("quota", f"{window_words(window)}: {counted}")
        if not outlook.windows:
            self._add("quota", "none is counted")
        writes = self._counts.states[State.PENDING] if self._counts else 0
        if not writes:
            return
        end = outlook.together(writes)
        self._add("plan", f"{describe.quantity(writes, 'write')} at most; {finish_lines(outlook, writes)[0]}")
        if warning := token_warning(settings, end.seconds):
            self._add("token", warning, is_open=True)

    async def _look_at_server(self, settings: Settings) -> None:
        from ..server_client import ServerClient

        async with ServerClient(settings, tell=self._invocation.event_lines) as client:
            token, reply = await self._list(client)
            if not self._judge_list(client, reply, how=sign_in_words(settings)):
                return
            self._add("clock", *clock_words(reply.date, time.time()))
            if self._options["probe"]:
                await self._probe(client, token)
            else:
                self._add("create", f"{client.entity.create_role} was not tried; --probe tries it", is_open=True)

    async def _list(self, client: ServerClient) -> tuple[str, Reply]:
        """A list of one record.  A refused token is renewed once, as in a run.  Raises what the sign-in does."""
        from ..core.classify import judge_call
        from ..model import CallKind
        from ..server_client import TokenRefused

        token = await client.tokens.current()
        reply = await client.request(client.api.list_page(token.value, size=1))
        if judge_call(reply, time.time()).kind is CallKind.UNAUTHORIZED:
            with contextlib.suppress(TokenRefused):  # there is no other
                token = await client.tokens.refresh(token.generation)
                reply = await client.request(client.api.list_page(token.value, size=1))
        return token.value, reply

    def _judge_list(self, client: ServerClient, reply: Reply, *, how: str) -> bool:
        """Whether the server answered with a list."""
        from ..core.classify import UNSENT_FAULTS, judge_call
        from ..core.stops import at_connect
        from ..model import CallKind

        role, verdict = client.entity.list_role, judge_call(reply, time.time())
        if reply.fault is not None:
            is_unsent = reply.fault in UNSENT_FAULTS
            error = at_connect(reply.fault, reply.detail, has_connected=False) if is_unsent else None
            self._add("server", str(error or reply.trouble), Exit.CONFIGURATION if error else Exit.TRY_LATER)
            return False
        self._add("server", f"answers with HTTP {reply.status}")
        if verdict.kind is CallKind.UNAUTHORIZED or verdict.is_forbidden:
            self._add(
                "token",
                f"refused ({reply.status}): it is wrong or expired, or its user lacks {role}",
                Exit.CONFIGURATION,
            )
            return False
        if verdict.is_later:
            self._add("token", f"not known: the server is busy ({reply.trouble})", Exit.TRY_LATER)
            return False
        try:
            page = client.api.parse_page(reply.body)
        except ValueError as bad:  # `net.api.BadList`
            self._add("list", f"{reply.trouble}: {bad}; is this the right --base-url?", Exit.CONFIGURATION)
            return False
        self._add("token", f"accepted, {how}")
        self._add(
            "list", f"{role} is there; the server has {describe.quantity(page.total, 'record')} that this user sees"
        )
        return True

    async def _probe(self, client: ServerClient, token: str) -> None:
        """Try the create role.  Raises `TryLater` where a quota is spent."""
        self._add("create", *probe_words(client.entity, await client.request(client.api.probe(token))))

    # the answer

    def _add(self, name: str, text: str, code: Exit = Exit.OK, is_open: bool = False) -> None:
        self.findings.append(Finding(name, text, code, is_open))

    def _failed(self, name: str, error: BulkwriterError) -> None:
        self._add(name, error.typed(), error.exit_code)

    @property
    def exit_code(self) -> int:
        found = {finding.code for finding in self.findings}
        return min(found or {Exit.OK}, key=lambda code: ORDER.index(code) if code in ORDER else -1)

    def facts(self) -> dict[str, Any]:
        checks = [{"check": f.name, "result": RESULTS[f.word], "text": f.text} for f in self.findings]
        return {"checks": checks}

    def lines(self, exit_code: int) -> None:
        """Nothing: the answer goes to stdout."""

    def text(self) -> list[str]:
        """The answer for people."""
        lines = []
        for finding in self.findings:
            first, *rest = finding.text.splitlines() or [""]
            lines.append(f"{finding.word:<4}  {finding.name:<8}  {first}")
            lines += [f"{'':16}{line}" for line in rest]
        return lines


def part_of(error: BulkwriterError) -> str:
    """The check that an error of the server's part belongs to."""
    if error.exit_code is Exit.JOURNAL:
        return "quotas"
    return "token" if error.code == "token" else "server"


RESULTS: Final = {"ok": "ok", "FAIL": "failed", "?": "unknown"}


def quotas_in_words(settings: Settings) -> str:
    from ..quota.build import windows_for

    return ", ".join(window.text for window in windows_for(settings)) or "none"


def sign_in_words(settings: Settings) -> str:
    """How long the token lives, as far as that is known, and where it comes from."""
    if settings.stored_sign_in:
        return stored_words(settings)
    if callable(settings.token):
        return "from token-command; its age is not known"
    if settings.token or settings.token_file:
        return "its age is not known; a token lives 7 days"
    return "renewed by signing in again"


def stored_words(settings: Settings) -> str:
    """Where the stored sign-in is, and until when its token is good.  It has been renewed by now if it was due."""
    from ..server_client import stored_in

    file = stored_in(settings)
    stored = file.load()
    if stored is None:
        return f"stored in {file.path}"
    until = f"good until {began(stored.expires_at)}" if stored.expires_at else "its end is not known"
    renewed = (
        f"runs renew it from {moment(stored.renew_at)} on"
        if stored.refresh_token
        else f"and it cannot be renewed: {login_command(*file.server)}"
    )
    return f"stored in {file.path}; {until}; {renewed}"


def source_words(counts: SourceCounts) -> str:
    """The rows by state, and why rows are bad."""
    from ..model import Counts

    states = describe.by_state(Counts.of(counts.states))
    parts = [f"{count:,} {describe.state(name)}" for name, count in states.items() if count]
    text = f"{describe.quantity(counts.rows, 'row')}: {', '.join(parts)}" if parts else "no rows"
    why = reason_lines.lines(counts.reasons(None), indent="")
    return "\n".join([text, *(line for line in why if line)])


def clock_words(date: str | None, wall: float) -> tuple[str, Exit, bool]:
    """What the server's Date says of this machine's clock."""
    from ..core.classify import http_date

    at = http_date(date, wall) if date else None
    if at is None:
        return "the server sends no Date, so calendar quotas count as rolling ones", Exit.OK, True
    off = wall - at
    if abs(off) <= CLOCK_S:
        return "as the server's", Exit.OK, False
    how = "ahead of" if off > 0 else "behind"
    text = f"{describe.duration(abs(off))} {how} the server's; quotas follow the server's, logs show this machine's"
    return text, Exit.OK, True


def probe_words(entity: Entity, reply: Reply) -> tuple[str, Exit, bool]:
    """What the reply to a POST of an empty record says of the create role: who may not create gets no validation."""
    from ..core.classify import classify
    from ..model import VerdictKind

    role = entity.create_role
    verdict = classify(reply, has_created=False, is_current_token=True, wall_s=time.time())
    said = f"{reply.trouble} to a POST of {{}}"
    if verdict.record_id:
        text = f"the server made record {verdict.record_id} of an empty one: delete it, and ask whose server this is"
        return text, Exit.CONFIGURATION, False
    if reply.fault is None and reply.status in (401, 403):
        return f"{role} is missing: {said}", Exit.CONFIGURATION, False
    if verdict.kind is VerdictKind.REJECTED:
        return f"{role} is there: {said}", Exit.OK, False
    if reply.fault is None and 200 <= reply.status <= 299:
        text = f"{said}, without an id: look for a new record among the {entity.plural}"
        return text, Exit.CONFIGURATION, False
    return f"{role} is not known: {said}", Exit.OK, True
