"""`bulkwriter plan SOURCE`: how many writes a source needs, and how many days they take; writes nothing.

Reads, validates and dedupes the source, compares it with the journal of an earlier start if there is one, lists what
exists on the server (read calls only, under the quotas), and forecasts the end under each quota, with and without what
the ledger says was spent.  `--existing skip` plans offline; so does a plan without any token, which says so.

stdout carries the answer, as text or with `--json` as one object; stderr is for people.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import Exit
from ..model import Counts, Reasons, Rows, iso, reasons_json
from ..run.token_life import token_warning
from ..settings import Settings
from . import choose, describe, journals, last_start, options, reason_lines
from .lifecycle import CountingCommand, Invocation
from .stdout import put
from .survey import outlook_for, survey

if TYPE_CHECKING:
    from ..listing.existing import Existing
    from .last_start import RunState
    from .outlook import Outlook
    from .source_counts import SourceCounts


DATE_WORDS = "each record will show the day it is written: the API has no other date"
SHOWN_S = 0.05
"""What a window alone takes less than, it does not bind: its time would read as 0.0 s."""


EXAMPLES = (
    (
        "bulkwriter plan pairs.csv --token-file token",
        "shows which pairs exist, how many writes are left, and when they will be done",
    ),
    ("bulkwriter plan pairs.csv --existing skip", "the same without asking the server"),
)


@click.command("plan", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("source", metavar="SOURCE", type=options.SOURCE)
@options.plain(
    "--journal", "journal of an earlier start [default SOURCE.journal]", "journal", metavar="PATH", type=options.PATH
)
@options.column_options
@options.option("--strict", "strict", is_flag=True)
@options.option("--limit", "limit", metavar="N", type=int)
@options.option("--rate", "rate", metavar="N/s", type=options.rate)
@options.option("--existing", "existing", type=click.Choice(["check", "skip"]))
@options.connection_options
@options.quota_options
@options.wait_options
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, source: str, **given: Any) -> int:
    """Show how many writes SOURCE needs, and when they will be done under the quotas.  Writes nothing.

    With a token it asks the server which pairs exist, as a run does.  With --existing skip it does not ask.
    """
    invocation = Invocation(ctx, {**given, "dry_run": given["existing"] == "skip", "retry": None})
    plan = PlanCommand(invocation, source)
    code = invocation.conduct(plan)
    if code in (Exit.OK, Exit.INCOMPLETE) and not given["as_json"]:
        put("\n".join(plan.text()))
    return code


class PlanCommand(CountingCommand):
    """Counts the rows of a source and forecasts their end; with `dry_run` among the options it asks no server."""

    def __init__(self, invocation: Invocation, source: str) -> None:
        self._invocation, self._options = invocation, invocation.options
        self._source = source
        self._is_offline: bool = invocation.options["dry_run"]
        self._journal: Path | None = None
        self._found: SourceCounts | None = None
        self._counts = Counts()
        self._run_state: RunState | None = None  # what the journal tells of an earlier start
        self._reasons: Reasons = {}
        self._writes = 0
        self._base_url = ""
        self._warning = ""
        self._outlook: Outlook | None = None

    def prepare(self) -> Settings:
        choose.check_source(self._source, self._options)
        given: Path | None = self._options["journal"]
        journal = given or (None if self._source == "-" else choose.journal_path(self._source, None))
        self._journal = journal if journal is not None and journals.is_there(journal) else None
        try:
            return self._invocation.settings(self._journal)
        except choose.NoToken:
            if self._options["existing"] == "check":
                raise
        self._invocation.stderr.note("no token, so nothing was looked up: pairs that exist count as writes")
        self._is_offline = True
        self._invocation.go_offline()
        return self._invocation.settings(self._journal)

    async def work(self, settings: Settings) -> None:
        async with contextlib.AsyncExitStack() as stack:
            existing = None if self._is_offline else await self._look_up(settings, stack)
            found = await survey(self._invocation, self._source, settings, self._journal, existing)
        self._found, self._reasons, self._run_state = found
        self._counts = Counts.of(found.counts.states)
        self._outlook = outlook = outlook_for(settings, self._run_state)
        self._writes = min(self._counts.pending, settings.limit or self._counts.pending)
        self._warning = token_warning(settings, outlook.together(self._writes).seconds)
        self._base_url = settings.base_url
        found.counts.print_bad(self._invocation.stderr)

    async def _look_up(self, settings: Settings, stack: contextlib.AsyncExitStack) -> Existing:
        """What tells which pairs are on the server."""
        from ..listing.existing import Existing
        from ..server_client import ServerClient
        from ..verify.session import ServerSession

        tell = self._invocation.event_lines
        connection = await stack.enter_async_context(ServerClient(settings, tell=tell))
        session = ServerSession(connection, settings, tell=tell)
        return Existing(
            session.get_page,
            session.entity,
            settings,
            clocks=session.clocks,
            tell=tell,
            rng=session.rng,
        )

    @property
    def exit_code(self) -> int:
        return self._found.exit_code if self._found else Exit.OK

    def facts(self) -> dict[str, Any]:
        outlook = self._outlook
        rows = Rows(self._found.rows, True, self._found.rows) if outlook and self._found else Rows()
        facts: dict[str, Any] = {
            **self._counts.to_json(),
            **rows.to_json(),
            "ended_reason": None,
            "resume_at": None,
        }
        if self._run_state:
            facts |= {"ended_reason": self._run_state.ended_reason, "resume_at": iso(self._run_state.resume_at)}
        facts |= {"reasons": reasons_json(self._reasons), "writes": self._writes, "checked": not self._is_offline}
        if outlook:
            end, fresh = outlook.together(self._writes), outlook.fresh().together(self._writes)
            facts["quotas"] = [
                {**outlook.under(self._writes, window).facts(), "spent": outlook.spent(window)}
                for window in outlook.concerned()
            ]
            facts |= {**end.facts(), "with_nothing_spent": fresh.facts()}
        return {**facts, "journal": str(self._journal) if self._journal else None}

    def lines(self, exit_code: int) -> None:
        """Nothing: the answer goes to stdout."""

    def text(self) -> list[str]:
        """The answer for people."""
        outlook = self._outlook
        assert outlook is not None
        whose = "" if not self._is_offline else ", as far as none of them exists"
        lines = [f"{self._source} -> {self._base_url}"]
        if self._run_state:
            lines += [f"{word:<9}  {text}" for word, text in last_start.lines(self._run_state)]
        is_alive = self._run_state is not None and self._run_state.is_alive
        table = describe.counts_table(self._counts, always=("pending",), is_alive=is_alive)
        lines += ["", *table, *reason_lines.lines(self._reasons), ""]
        how = ", by one write each" if self._writes else ""
        lines.append(f"{describe.quantity(self._writes, 'pair')} would be created{how}{whose}")
        if not self._writes:
            return lines
        slowest_first = sorted(outlook.concerned(), key=lambda w: -outlook.under(self._writes, w).seconds)
        rows = [(window_text(window), text) for window in slowest_first if (text := self._under(outlook, window))]
        if rows:
            lines += ["", *describe.columns(rows, 110), ""]
        lines += finish_lines(outlook, self._writes)
        if self._writes:
            lines.append(DATE_WORDS)
        return [*lines, self._warning] if self._warning else lines

    def _under(self, outlook: Outlook, window: Any) -> str:
        """How long the writes take under a window alone, "" where it neither binds nor was spent from."""
        spent, alone = outlook.spent(window), outlook.under(self._writes, window)
        if alone.seconds < SHOWN_S:
            return f"does not bind ({spent:,} spent now)" if spent else ""
        return alone.words() + (f" ({spent:,} spent now)" if spent else "")


def window_text(window: Any) -> str:
    from .outlook import window_words

    return window_words(window)


def finish_lines(outlook: Outlook, writes: int) -> list[str]:
    """The end of it all, and what binds."""
    from ..model import moment

    end, fresh = outlook.together(writes), outlook.fresh().together(writes)
    wait_s = outlook.not_before - outlook.boot
    if end.window is None and end.seconds - max(0.0, wait_s) < 1:
        quick = "no quota holds them: as fast as the server takes them"
        if wait_s <= 0:
            return [quick]
        return [f"{quick}, once it takes any again: not before {moment(outlook.wall + wait_s)}, as it asked"]
    why = f"the quota of {window_text(end.window)} allows no more" if end.window else "--rate allows no more"
    lines = [f"all quotas together: {end.words()}: {why}"]
    if outlook.others:
        others = describe.quantity(round(outlook.others), "other client")
        lines.append(f"with {others} at work on these quotas now, as if that went on")
    if abs(fresh.seconds - end.seconds) > 60:
        lines.append(f"with nothing spent before: {fresh.words()}")
    return lines
