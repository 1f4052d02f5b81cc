"""Write (CourseLessonId, CourseMemberId) pairs into the Nexudus REST API: durable, resumable, each exactly once.

    async with BulkWriter(Settings(base_url=..., token=..., journal=Path("run.journal"))) as writer:
        async for outcome in writer.stream(pairs):
            ...

The names below are the public face.  They are imported when first used, so that `import bulkwriter` and the command
line's `--help` stay fast: aiohttp alone takes a quarter of a second.

The code is read from here on in this order; each folder says in its own `__init__.py` what is where in it:

    model, settings, errors, events     the nouns, the choices, what goes wrong, what observers are told; `rows`: the
                                        journal's, as they are written
    writer                              the library's face: a source or a pair goes in, a summary comes out
    wiring, server_client               the real parts put together: journal, network, quotas
    guarded, shielded, threads          around whatever the event loop calls by itself; steps that no cancellation
                                        breaks in two; threads that may hang
    shell                               how text from outside is shown
    run/                                waits and acts: the run itself
    entities/                           what kind of record is written: names on the wire, roles, words for people
    core/, adaptive/                    decide about a pair, and how fast to send; nothing else
    quota/                              how much may be spent, and who counts it
    listing/, verify/                   what the server has; verify, repair and undo
    net/, store/                        talk, and remember
    sources/                            where pairs come from
    cli/, stub/                         the command line, and the local server to try it on
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import events as events
    from .errors import BulkwriterError as BulkwriterError
    from .errors import ConfigurationStop as ConfigurationStop
    from .errors import Exit as Exit
    from .errors import JournalError as JournalError
    from .errors import SourceError as SourceError
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
            "BulkwriterError",
            "ConfigurationStop",
            "Exit",
            "JournalError",
            "SourceError",
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
    module = import_module(f".{home}", __name__)
    return module if home == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
