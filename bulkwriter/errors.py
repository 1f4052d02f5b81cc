"""The errors of this package.  The type says whose fault it is and gives the exit code; the hint names a next step.

The tree is short on purpose.  A program acts on the type, a person on the hint.

    BulkwriterError                exit 70   a bug of ours, when it is raised as itself
     ├─ UsageError                      2   a setting or option cannot be right
     ├─ JournalError                    5   journal locked, unusable, or of another host
     │   ├─ LedgerError                     the quota ledger unusable; the journal is well
     │   │   └─ LedgerGone              75   the database of the quota ledger did not answer
     │   ├─ FenceLost                       another process has taken the part of the job that this one wrote
     │   └─ StoreGone                  75   the database of the journal did not answer for too long, or lost commits
     ├─ SourceError                     6   source unreadable, without its columns, or changed
     ├─ ConfigurationStop               4   bad token, role, host, TLS name, or the same refusal again and again
     └─ TryLater                       75   the server is gone, or asks to wait for more than we may
         ├─ NotWell                         a single write waited long enough for a writer that cannot send now
         └─ Backlogged                      as many single pairs as may be are outstanding; this one was not taken

An error belongs to the call or the source that made it.  Only two kinds end a writer for all its callers: a journal or
ledger that fails, and a bug (`ends_writer`).

`code` names the trouble for programs, in finer steps than the exit code.  The journal and `--json` have it too.

Exceptions of aiohttp and sqlite3 are translated where they arise, in `net` and `store`.  No message holds a token: a
server's text is quoted only after `classify` has cleaned it.
"""

from __future__ import annotations

from enum import IntEnum

from .wording import Worded, typed


class Exit(IntEnum):
    """Exit codes of the command line; when several apply, `bulkwriter help exit-codes` says which comes first.

    `OK` all that was asked is done · `INCOMPLETE` ended, with some rejected, failed or invalid · `USAGE` a setting or
    option cannot be right · `DOUBTS` some pairs are in doubt · `CONFIGURATION` a bad token, role or host, or the same
    rejection again and again · `JOURNAL` locked, unusable, or of another host · `SOURCE` unreadable or changed · `BUG`
    a bug of ours · `STDOUT` stdout, or a file of output, cannot be written · `TRY_LATER` the server is gone, or a quota
    is spent
    """

    OK = 0  # all that was asked is done
    INCOMPLETE = 1  # ended, with some rejected, failed or invalid
    USAGE = 2
    DOUBTS = 3
    CONFIGURATION = 4
    JOURNAL = 5
    SOURCE = 6
    BUG = 70
    STDOUT = 74
    TRY_LATER = 75


class BulkwriterError(Exception):
    """The root of all errors that this package raises on purpose.  `hint` names what to do next, or is empty.

    Both are in the words of the library, whatever the words in which they are given (`wording`).
    """

    exit_code: Exit = Exit.BUG
    code: str = "bug"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint: Worded = Worded(hint)
        self.code = code or self.code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def typed(self) -> str:
        """The same text in the words of the command line."""
        message = typed(self.message)
        return f"{message}\n  {self.hint.typed}" if self.hint else message


class UsageError(BulkwriterError):
    """A setting or option cannot be right."""

    exit_code = Exit.USAGE
    code = "usage"


class OutputError(BulkwriterError):
    """A file of output cannot be written: its disk is full, read-only or failing."""

    exit_code = Exit.STDOUT
    code = "output"


class JournalError(BulkwriterError):
    """The journal is locked, unusable or of another host, or its disk failed.  No request is sent after this error."""

    exit_code = Exit.JOURNAL
    code = "journal"


class LedgerError(JournalError):
    """The quota ledger cannot be used, or its disk failed.  Nothing is sent after this error; the journal is intact."""

    code = "ledger"


class LedgerGone(LedgerError):
    """The database of the quota ledger did not answer at the start.  Nothing is sent after this error."""

    exit_code = Exit.TRY_LATER
    code = "ledger_away"


class FenceLost(JournalError):
    """Another process has taken the part of a job that this one wrote.  Nothing is sent or written after this error."""

    code = "fence"


JOURNAL_LOST = "journal_lost"
"""Code of an end where the journal is gone or damaged: the same command passes only once that is put right, or with
`--after-loss`."""
COMMITS_LOST = "lost"
"""Code of the errors of a database that may have lost commits: of a start the same command does not pass."""


class StoreGone(JournalError):
    """The database that keeps the journal did not answer for too long, or may have lost what it had acknowledged.

    Nothing is sent after this error, which ends the writer: a new one goes on once the database is back.  What had been
    sent is in doubt where its outcome was not kept there, and the new one looks it up.
    """

    exit_code = Exit.TRY_LATER
    code = "database"


class AnotherRun(JournalError):
    """Another run at work has pairs of this source.  Nothing is sent after this error; the journal is intact."""

    code = "another_run"


def is_of_journal(error: BaseException | None) -> bool:
    """Whether the journal itself failed, so that nothing can be written into it any more."""
    return isinstance(error, JournalError) and not isinstance(error, LedgerError | AnotherRun)


class SourceError(BulkwriterError):
    """The source cannot be read, lacks its columns, or differs from the journal.  `line` is 1-based, or None."""

    exit_code = Exit.SOURCE
    code = "source"

    def __init__(self, message: str, *, hint: str = "", line: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line


class WrongName(SourceError):
    """The name of the source does not tell its format, or tells another one; the hint gives a better name."""


class ConfigurationStop(BulkwriterError):
    """The server's replies show that a setting is wrong: every other pair would fail in the same way."""

    exit_code = Exit.CONFIGURATION
    code = "configuration"


class TryLater(BulkwriterError):
    """The server is gone or asks for a long wait.  The same command later goes on: at `retry_at` (epoch s), or None."""

    exit_code = Exit.TRY_LATER
    code = "later"

    def __init__(self, message: str, *, hint: str = "", code: str = "", retry_at: float | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_at = retry_at


class NotWell(TryLater):
    """The writer could not send for as long as this call wanted to wait (`Settings.patience_s`).

    The pair stays `pending`, and is written once the writer is well again.  `__cause__` says why it is not well.
    """

    code = "not_well"


class Backlogged(TryLater):
    """`most_outstanding` pairs wait for their outcome.  Of the pairs of this call the first `taken` go on."""

    code = "backlogged"

    def __init__(self, message: str, *, hint: str = "", taken: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.taken = taken


def ends_writer(error: BaseException) -> bool:
    """Whether an error ends a writer for good: a journal or ledger that fails, and a bug of ours.

    Any other error may pass: a server comes back, a token is renewed, a window opens.
    """
    return isinstance(error, JournalError) or not isinstance(error, BulkwriterError) or error.exit_code is Exit.BUG


def bug_of_ours(error: BaseException) -> BulkwriterError:
    """The error that ends a run in which our own code raised `error`.

    A `BulkwriterError` comes back as it is, since it says more; any other becomes the cause of a new one.
    """
    if isinstance(error, BulkwriterError):
        return error
    bug = BulkwriterError(f"a bug of ours: {type(error).__name__}", hint="please report it, with -v's output")
    bug.__cause__ = error
    return bug
