"""The end of a command that reports like a run: whatever happened becomes one `Ending`, told the same way.

`guarded` turns every exception into an `Ending`; `conclude` says it: errors with their hints, the summary and the
resume command on stderr, and with `--json` one object as the last line of stdout.  A stderr that is closed, or whose
reader is gone, changes neither what is done nor the exit code; nor does a stdout that fails change what is done
(`stdout` has its code).

`Session` is what one command line has said about itself so far, so that an ending at any point can tell as much as is
known.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import BulkwriterError, TryLater
from ..model import Summary, iso
from ..shell import visible
from .ending import Ending, code_of, empty_summary, first_of, summary_lines
from .main import bug
from .stderr import Voice
from .stdout import Stdout

if TYPE_CHECKING:
    from .neighbours import Neighbours


@dataclasses.dataclass(slots=True)
class Session:
    """One command line: its source, options, voice, and the command that resumes it."""

    source: str
    given: Mapping[str, Any]
    stream: TextIO | None  # what the voice writes to
    voice: Voice
    resume: str
    journal: Path | None = None
    neighbours: Neighbours | None = None  # once the run may begin

    def show(self, env: Mapping[str, str]) -> str:
        """How to show progress, "rich", "plain" or "none"; sets the screen up for rich."""
        stream = self.stream
        choice: str = self.given["progress"]
        if choice == "auto":
            is_drawable = stream is not None and stream.isatty() and not env.get("CI") and env.get("TERM") != "dumb"
            choice = "rich" if is_drawable else "plain"
        if self.given["log_format"] == "json" and choice == "rich":
            choice = "plain"
        if choice == "rich" and stream is not None:
            from .live import LiveScreen

            self.voice.use(LiveScreen(stream, earlier=self.voice.written()))
        return choice

    def abort(self, exit_code: int, summary: Summary | None) -> None:
        """Last words before the process is left at once; `summary` is how the run stands, if that is known."""
        self.voice.say(
            "aborted: what was in flight is in doubt, and the next start looks it up.  To resume:\n  " + self.resume,
            event="aborted",
        )
        if self.given["as_json"]:
            known = summary or empty_summary(str(self.journal) if self.journal else None)
            put_json(dataclasses.replace(known, exit_code=exit_code).to_json())
        self.voice.close(0.4)


def guarded(session: Session, work: Callable[[], Ending]) -> Ending:
    """What `work` answers, or an `Ending` with what it raised."""
    try:
        return work()
    except (Exception, KeyboardInterrupt) as e:
        journal = session.journal or session.given.get("journal")
        return Ending(summary=empty_summary(str(journal) if journal else None), error=e)


def conclude(session: Session, ending: Ending) -> None:
    """Tell how it ended: people first, on stderr, then the object on stdout."""
    voice = session.voice
    summary = dataclasses.replace(ending.summary, exit_code=ending.exit_code)
    error = None if ending.error is None else first_of(ending.error)
    tell_error(voice, error, is_verbose=session.given["verbose"])
    facts = {**summary.to_json(), **end_facts(ending, error)}
    lines = summary_lines(ending, source=session.source, resume=session.resume)
    if lines or voice.form == "json":
        voice.say("\n".join(lines), event="summary", **facts)
    voice.close()
    if session.given["as_json"]:
        put_json(facts)


def tell_error(voice: Voice, error: BaseException | None, *, is_verbose: bool) -> None:
    """Say what ended the command, unless that was nothing, or a signal."""
    if isinstance(error, BulkwriterError):
        voice.complain(f"error: {error}", event="error", message=error.message, hint=error.hint)
    elif error is not None and not isinstance(error, KeyboardInterrupt):
        voice.say(bug(error, is_verbose=is_verbose, secrets=[]), event="bug")  # the voice strikes them out


def end_facts(ending: Ending, error: BaseException | None) -> dict[str, str | None]:
    """Why it ended and when going on makes sense, where the summary does not say so: of what failed outside the run, or
    before it began."""
    ended = ending.summary.ended
    if error is not None and (ended is None or ended.exit_code != code_of(error)):
        return {"ended_reason": reason_of(error), "resume_at": None, **time_to_come_back(error)}
    if ended is None and ending.signal_code:
        return {"ended_reason": signal.Signals(ending.signal_code - 128).name}
    return {}


def reason_of(error: BaseException) -> str:
    """An interrupt is none of ours: it came before signals were watched."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT.name
    return error.message if isinstance(error, BulkwriterError) else f"a bug of ours: {type(error).__name__}"


def time_to_come_back(error: BaseException | None) -> dict[str, str | None]:
    """`resume_at` for scripts, in UTC, where an end with 75 knows when going on makes sense."""
    at = error.retry_at if isinstance(error, TryLater) else None
    return {} if at is None else {"resume_at": iso(at)}


def put_json(facts: Mapping[str, Any]) -> None:
    """The object that ends a command's stdout."""
    text = json.dumps(facts)
    if isinstance(sys.stdout, Stdout):
        sys.stdout.write_last(text + "\n")
    else:
        put(text)


def put(text: str) -> None:
    """A line on stdout, at once; what becomes of one that cannot be written is the business of `stdout`."""
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()
