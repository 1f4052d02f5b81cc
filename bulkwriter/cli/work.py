"""`bulkwriter work URL`: one worker of a job, on any machine, any number of them at a time.

Here are the options, the examples and the help of the command, nothing else.  They are those of `run` but for the
source: quotas, sign-in and connection are a worker's own, and what the job belongs to stands in the database.

Not here: what a worker does (`job`, `worker`), settings made of the options (`choose`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from . import choose, options

if TYPE_CHECKING:
    from ..postgres.address import Address

EXAMPLES = (
    (
        "bulkwriter work postgresql://bw@db.example/bulkwriter/backfill --token-file token",
        "takes parts of the job `backfill` until none is left; give it on as many machines as you like",
    ),
    (
        "bulkwriter work $JOB --ledger postgresql://bw@db.example/bulkwriter",
        "the same, with quotas that all machines share",
    ),
)


@click.command("work", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("job", metavar="URL", type=options.JOURNAL)
@options.connection_options
@options.pace_options
@options.quota_options
@options.care_options
@options.worker_output_options
@click.pass_context
def command(ctx: click.Context, /, job: Path | Address, **given: Any) -> int:
    """Work on a job that `run SOURCE --journal URL` has loaded into PostgreSQL: postgresql://HOST/DATABASE/JOB.

    Each worker takes one part at a time.  You may stop or kill it at any moment, and the machine too: another worker
    takes the part over once its lease is over.  More: bulkwriter help jobs.
    """
    from .job import JobCommand
    from .lifecycle import Invocation

    if isinstance(job, Path):
        raise UsageError(
            f"{job} is no job in a database",
            hint="a job is postgresql://HOST/DATABASE/JOB; a journal that is a file goes on by `bulkwriter run`",
        )
    notes = choose.strange_variables(os.environ, options.variables_of(ctx.command))
    invocation = Invocation(ctx, given)
    return invocation.conduct(JobCommand(invocation, job, notes))
