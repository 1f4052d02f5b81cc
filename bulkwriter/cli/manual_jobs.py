"""Help for a source that several machines share: `bulkwriter help jobs`.

Written for operators.  What is said of claims and leases is what `postgres.lease` and `run.holding` do; what is said of
loading is what `postgres.loading` does.

Not here: quotas that machines share, the tables and the rights of a role (`help machines`).
"""

from __future__ import annotations

from typing import Final

JOBS: Final = """\
Jobs: one source, several workers, on any machines

At 60 writes a minute one machine is enough.  Use a job where a backfill must
outlive its machine, or where an account allows more than one core can send.

  bulkwriter ledger init postgresql://admin@db/ops --grant bulk     once
  export JOB=postgresql://bulk@db/ops/backfill                      DATABASE/JOB
  export BULKWRITER_LEDGER=postgresql://bulk@db/ops                 shared quotas
  bulkwriter run pairs.csv --journal $JOB --parts 12 --load-only    loads it
  bulkwriter work $JOB                                              on each machine
  bulkwriter status $JOB                                            from anywhere

It needs the extra: uv tool install '.[postgres]'.  Without --load-only the command
that loads works on the job as well.  The password belongs into PGPASSWORD, ~/.pgpass
or PGSERVICE; in a URL on the command line it is refused.  Give every worker the
same ledger: with ledgers in files each machine would spend the whole quota.  A worker
with another ledger or other quotas than those at work says so in a note.

Loading

  The source is read once, on the machine that has it, and divided among the parts:
  the same pair always goes to the same part.  It becomes a job as a whole or not at
  all.  A load that was killed has left nothing; the same command begins again.
  The same command later compares the source with the job: the first difference is
  exit 6 with its line, and rows that were added at the end are loaded as well.
  Three or four parts for each worker are enough (--parts, 1 to 256, default 4).
  Each part looks up what exists by itself, so more parts take more list calls.
  The number of parts cannot change later.

Workers

  A worker takes one part at a time, writes it as a run, and takes the next one.
  While others have the last parts it waits, since one of them may die.  It ends
  when no part has anything left that it may do: with 0, or 1 and 3 as a run does,
  for the whole job.  An error that ends a run ends the worker, with its code.
  Sign-in, quotas, --rate and --in-flight are each worker's own.  A worker for
  another server, account or kind of record is refused with exit 5.
  Each has a local journal meanwhile, in the state folder (XDG_STATE_HOME), and no
  need of a volume: what counts is in the database.
  Ctrl-C, SIGTERM: what is on the wire ends, and the part is given up at once.

When something happens

  a worker dies, or its         its part is taken over when its lease is over:
  machine burns                 --lease, 30 s.  What it had been about to send is
                                looked up, all other pairs go on at once.  That look
                                waits for --timeout, --late-apply and --list-lag
                                together, 155 s by default.  They count from the end
                                of the lease as far as the other worker knows it:
                                --lease after it first saw the part as it was left.
                                The database's clock may tell an earlier end.  It is
                                not believed: a clock that is set would double pairs
  a worker sleeps longer than   it sends nothing more, and gives up the part if
  its lease, or is cut off      another worker has it by then
  the database is away          nothing is sent once the lease is over.  It goes on
                                by itself when the database is back; exit 75 after
                                --give-up-after.  At the start of work or run, that
                                of the job and that of --ledger are tried for 15 s,
                                then exit 75; what only reads tries once
  a standby takes over, or a    exit 75: it may have lost what it had acknowledged.
  backup was restored           Let all workers end, then start them with
                                --after-loss.  Without it each start is refused
                                with 5.  What cannot be noticed: help machines
  failed pairs are left         the same command tries them again, once
  exit 5: held                  another process has this part

What is there

  bulkwriter status|export|verify|report|explain $JOB
  bulkwriter undo $JOB          once no worker is at work
  bulkwriter runs $JOB          how far the job is, from its counts alone
  bulkwriter runs postgresql://bulk@db/ops      all jobs of the database

Each of the first five reads the whole job into a temporary folder: about 20 s and 150
MB for a million rows.  …/JOB/PART reads one part.  A service that keeps its journal
in a database names a part of its own in the same way: Settings(journal=URL).

What it does not do

  It places no process and restarts none: systemd, Kubernetes, Slurm or Ray do that.
  Two jobs, or a job and a run, know nothing of each other: the same pairs in both
  can be doubled.  verify --repair, --dry-run and run --report are for journals that
  are files: verify --output lists doubled pairs with their ids, plan SOURCE and
  status look ahead, report $JOB makes the page.  run --limit N tries the first
  pairs: it is for the worker that the command itself is, not for --on.
  A virtual machine that is paused and goes on may still send what it held.

How to start workers and have them started again, by systemd, Kubernetes, Slurm or Ray:
bulkwriter help machines
"""
