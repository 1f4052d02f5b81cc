"""Workers of a job on a Ray cluster: what `run SOURCE --on ray` does, and the same from Python.

    summary = await bulkwriter.on_ray.run(pairs, settings, workers=8, address="head:6379")

Ray places workers on nodes, makes them again where they were lost, and gathers what they say.  It has no fence: an
actor was seen sending after its node was declared dead.  So everything that keeps pairs from being lost or doubled
stays with the job's leases, and a lost node is a part that another worker takes over.

    actor     the worker on a node, and its process
    driver    the process that speaks with Ray
    crew      all workers, as seen by whoever started them

Every node needs this package with the extras `postgres` and `ray`, in the version that is here, and what signs in: a
token in the environment of Ray's processes or in a file, the database's password likewise.  Neither ever goes by way of
Ray, which shows a runtime environment on its dashboard, and encrypts nothing unless it is told to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import UsageError
from ..model import Counts, Rows, Summary
from ..settings import Settings
from ..sources.inputs import as_source
from ..sources.parts import MOST_PARTS
from ..store.schema import JournalIdentity

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..postgres.jobs import Job
    from ..sources.inputs import PairsLike

USUAL: Final = Settings()
SECRET: Final = ("token", "password", "totp")
PARTS_EACH: Final = 4
"""Parts for each worker, where nobody says how many, as for the command line."""


async def run(
    source: PairsLike, settings: Settings, *, workers: int = 2, address: str = "", parts: int | None = None
) -> Summary:
    """Load `source` into the job that `settings.journal` names, and bring it to its end on a Ray cluster.

    `workers` is 1 to 1,000.  `address` "" starts a cluster on this machine for as long as it takes, "auto" takes the
    one that runs here, anything else is as `ray.init` takes it.  `parts` is 1 to 256, four for each worker by
    default; it is that of the job where that was loaded before, and then the source must be the same.

    Waits until nothing is left to do, however long quotas make that.  Safe to cancel: the workers end what is on the
    wire.  The same call on any cluster goes on.  The summary counts the whole job; `attempts` are those of workers that
    lived to tell them.

    Raises `UsageError` for settings that cannot go to the nodes (a token in `settings`: set BULKWRITER_TOKEN there, or
    name a `token_file` of theirs), `TryLater` where the cluster is gone, and the error of a worker that failed.
    """
    from ..cli.job import exit_of
    from ..cli.on_ray import arguments_of, check_workers
    from ..postgres.loading import apart
    from .actor import Order
    from .crew import Crew
    from .driver import Placing

    check_workers(workers)
    place = job_of(settings)
    placing = Placing(Order(arguments_of(place, given(settings))), workers, address)
    began_at = time.monotonic()
    job = await loaded(source, settings, place, parts, min(MOST_PARTS, PARTS_EACH * workers))
    before, _ = await apart(standing, place, job)
    crew = Crew(placing, lambda name, facts: None)
    await crew.run()
    counts, rows = await apart(standing, place, job)
    creates = max(0, counts.created - before.created)
    return Summary(
        counts=counts, attempts=max(creates, crew.told("attempts")), throttled=crew.told("throttled"), creates=creates,
        settled=creates, elapsed_s=time.monotonic() - began_at, journal=str(place), rows=rows,
        exit_code=int(exit_of(counts, rows)),
    )  # fmt: skip


def job_of(settings: Settings) -> Address:
    """The job that `journal` names."""
    place = settings.journal
    if place is None or isinstance(place, Path) or not place.job or place.part:
        raise UsageError("journal names no job", hint="Settings(journal='postgresql://HOST/DATABASE/JOB')")
    return place


def given(settings: Settings) -> dict[str, Any]:
    """The settings that are not the usual ones, as options have them.  Raises `UsageError` for what cannot travel."""
    for name in SECRET:
        if getattr(settings, name) is not None:
            raise UsageError(
                f"{name} cannot go to the nodes",
                hint="leave it out: each node signs in by BULKWRITER_TOKEN in its environment, or by a file of its own",
            )
    if settings.limits != USUAL.limits:
        raise UsageError("limits cannot go to the nodes", hint="leave them out")
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(Settings)}
    chosen = {name: value for name, value in values.items() if value != getattr(USUAL, name)}
    if chosen.pop("retry_rejected", False):
        chosen["retry"] = "rejected"
    return {**chosen, "base_url": settings.base_url}


async def loaded(source: PairsLike, settings: Settings, place: Address, parts: int | None, usual: int) -> Job:
    """The job, loaded from the source or held against it."""
    from ..postgres.loading import Plan, brought, connected

    entity = COMPLETED_LESSONS
    identity = JournalIdentity.of(settings.base_url, settings.account, entity.fields, entity.label)
    async with contextlib.AsyncExitStack() as stack:
        rows = as_source(source)
        stack.push_async_callback(rows.aclose)
        connection = await connected(stack, place, settings.give_up_after_s)
        plan = Plan(
            place.job, identity, parts or usual, getattr(rows, "origin", ""), settings.strict, settings.after_loss
        )  # fmt: skip
        found, _ = await brought(connection, rows, plan, shown=str(place), parts=parts)
    return found


def standing(place: Address, job: Job) -> tuple[Counts, Rows]:
    """How all parts of the job stand."""
    from ..postgres import jobs

    with jobs.opened(place) as connection:
        return jobs.counts_of(jobs.parts_of(connection, job))
