"""`bulkwriter run SOURCE`: write every pair; the same command again resumes.

Here are the options, the examples and the help of the command, nothing else.  `drive` has what a run does.  It is
imported only when the command line was understood, so that `--help` and a slip of the pen are answered at once.

Not here: settings made of the options (`choose`), signals and the end (`lifecycle`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from . import choose, options

EXAMPLES = (
    (
        "bulkwriter run pairs.csv --token-file token --limit 10",
        "sends ten pairs; then give the same command without --limit",
    ),
    (
        "bulkwriter run pairs.csv --token-file token --on-quota stop",
        "from cron: ends with 75 when today's writes are spent",
    ),
)
EPILOG = """Every option but --on-end is also read from the environment: --in-flight from BULKWRITER_IN_FLIGHT, and
so on.  Secrets come from there or from files, never from a flag: BULKWRITER_TOKEN, or BULKWRITER_USERNAME and
BULKWRITER_PASSWORD.  More: bulkwriter help settings, help sources, help exit-codes."""


@click.command("run", cls=options.CommandWithExamples, examples=EXAMPLES, epilog=EPILOG)
@click.argument("source", metavar="SOURCE", type=options.SOURCE)
@options.source_options
@options.job_options
@options.connection_options
@options.pace_options
@options.quota_options
@options.care_options
@options.run_output_options
@click.pass_context
def command(ctx: click.Context, /, source: str, **given: Any) -> int:
    """Write every pair of SOURCE: .csv, .tsv, .jsonl or .ndjson, each also .gz, or - for stdin.

    You may stop or kill it at any moment.  The same command resumes, since SOURCE.journal keeps what is done.
    """
    from .lifecycle import Invocation

    notes = choose.strange_variables(os.environ, options.variables_of(ctx.command))
    invocation = Invocation(ctx, given)
    journal = invocation.options["journal"]
    if journal is not None and not isinstance(journal, Path):
        if invocation.options["on"]:
            from .on_ray import OnRay

            return invocation.conduct(OnRay(invocation, journal, notes, source=source))
        from .job import JobCommand

        choose.check_no_engine(invocation.options)
        return invocation.conduct(JobCommand(invocation, journal, notes, source=source))
    choose.check_no_job(invocation.options)
    from .drive import RunCommand

    return invocation.conduct(RunCommand(invocation, source, notes))
