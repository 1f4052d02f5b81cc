"""Writes (CourseLessonId, CourseMemberId) pairs into the Nexudus REST API: durable, resumable, each exactly once.

    async with BulkWriter(Settings(base_url=..., token=..., journal=Path("run.journal"))) as writer:
        async for outcome in writer.stream(pairs):
            ...

The names below are the public interface.  Each is imported at its first use, so that `import bulkwriter` and `--help`
of the command line stay fast: aiohttp alone takes a quarter of a second to import.

Read the code in this order.  The `__init__.py` of each folder says what is where in it:

    model, settings, errors, events     the nouns, the choices of a user, the errors, the news for observers
    rows                                the rows of the journal, as they are written
    clocks                              what time it is, and how to wait for a time
    stored_sign_in                      a sign-in that all runs of a user share
    writer                              the library's interface: a source or a pair goes in, a summary comes out
    wiring, server_client               put the real parts together: journal, network, quotas
    guarded, shielded, threads          guards for callbacks of the event loop; steps that no cancellation breaks in
                                        two; threads that may hang
    wording                             texts for people, in the words of the library and of the command line
    amounts, shell                      how counts and durations, and how text from outside is shown
    run/                                the run itself: waits and acts
    entities/                           the kind of record that is written: names on the wire, roles, words for people
    core/, adaptive/                    decide about a pair, and how fast to send; nothing else
    quota/                              how much may be spent, and who counts it
    listing/, verify/                   what the server has; verify, repair and undo
    net/, store/                        the network; the journal on disk
    postgres/                           state that several machines share
    on_ray/                             the workers of a job on a cluster
    sources/                            where pairs come from
    resolve/                            from e-mails and titles to ids: a table of people becomes a source
    observe/                            log, metrics and traces, as observers of events
    report/                     the page of a run, made from its journal
    cli/, stub/                         the command line, and a local server to try it on
    examples/                           a service to read and to copy
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself takes a while to import
    from typing import Any

    from . import events as events
    from .errors import Backlogged as Backlogged
    from .errors import BulkwriterError as BulkwriterError
    from .errors import ConfigurationStop as ConfigurationStop
    from .errors import Exit as Exit
    from .errors import JournalError as JournalError
    from .errors import NotWell as NotWell
    from .errors import SourceError as SourceError
    from .errors import StoreGone as StoreGone
    from .errors import TryLater as TryLater
    from .errors import UsageError as UsageError
    from .model import Counts as Counts
    from .model import FieldError as FieldError
    from .model import Outcome as Outcome
    from .model import Pair as Pair
    from .model import Snapshot as Snapshot
    from .model import State as State
    from .model import Summary as Summary
    from .settings import Limits as Limits
    from .settings import Settings as Settings
    from .sources import open_source as open_source
    from .writer import BulkWriter as BulkWriter

__version__ = "0.1.0"

_HOME = {
    "BulkWriter": "writer",
    "open_source": "sources",
    "events": "events",
    **dict.fromkeys(("Limits", "Settings"), "settings"),
    **dict.fromkeys(("Counts", "FieldError", "Outcome", "Pair", "Snapshot", "State", "Summary"), "model"),
    **dict.fromkeys(
        (
            "Backlogged",
            "BulkwriterError",
            "ConfigurationStop",
            "Exit",
            "JournalError",
            "NotWell",
            "SourceError",
            "StoreGone",
            "TryLater",
            "UsageError",
        ),
        "errors",
    ),
}
__all__ = [*_HOME, "__version__"]  # noqa: PLE0604 all are strings


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{home}", __name__)
    return module if home == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
