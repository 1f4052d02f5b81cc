"""Help for several machines that share an account: `bulkwriter help machines`.

Written for operators.  What is said here of tables and rights is what `postgres.schema` makes; what is said of a
database that is away is what `postgres.ledger` does.

Not here: how windows are counted (`manual_reference.QUOTA_COUNTING`).
"""

from __future__ import annotations

from typing import Final

MACHINES: Final = """\
Several machines

Two things can be shared: the quotas of an account (below), and the pairs of one
source among several workers (bulkwriter help jobs).

One account, several machines: the quota ledger in PostgreSQL

A ledger in a file is for one machine.  With a ledger in PostgreSQL any number of
machines, containers and services share the quotas of an account, and together
they never exceed them.  Each gets a like share while all have work to do.

  uv tool install '.[postgres]'                        the extra, on each machine
  bulkwriter ledger init postgresql://admin@db/ops     makes the tables, once
  bulkwriter ledger init postgresql://admin@db/ops --grant bulk
                                                       lets the role bulk use them
  bulkwriter run pairs.csv --ledger postgresql://bulk@db/ops

The URL may stand in BULKWRITER_LEDGER, in your own bulkwriter.toml (ledger = "..."),
or in Settings(ledger="...") of the library.  A working folder's bulkwriter.toml
may not name a ledger.  Options of libpq follow a ?, as in
postgresql://bulk@db/ops?sslmode=verify-full, or ?host=/var/run/postgresql for a
socket.

The password is never shown, and is refused on a command line, where others can
read it with ps.  Put it into PGPASSWORD, into ~/.pgpass, or put the whole URL
into BULKWRITER_LEDGER or into your own bulkwriter.toml that only you may read
(chmod go-rwx).

What the role needs: USAGE of the schema bulkwriter, and SELECT, INSERT, UPDATE and
DELETE of its tables.  --grant gives exactly that.  It creates nothing.  After an
update of bulkwriter give ledger init again, if a start asks for it.

An account is counted under its base URL, or under --account NAME.  All machines
must name it alike, and give the same --quota.

What happens

  the database is away          what was leased is sent, for two seconds or so.
                                Then nothing is sent.  It goes on by itself when
                                the database is back, and says so
  it is away at the start       tried for 15 seconds, then exit 75: it may come back,
                                or the address is wrong
  a wrong password, no tables,  exit 5, with what to do
  no rights
  a machine dies                its last lease counts as used: at most 1% of a
                                long quota, or one request, and what two seconds
                                can spend of a short one
  the database's clock is set   nothing: those at work notice the step, and take
                                it out.  If nobody was at work meanwhile, what was
                                spent before is placed by the server's Date
  a machine's clock is set      nothing: that clock decides nothing
  a standby takes over, or a    it may lack what was spent last.  As much as the quotas
  backup was restored           allowed since its last exchange counts as spent, or all
                                of them where nobody knows how long that is; a note
                                says so.  Short quotas wait until nothing can be on its
                                way any more: --timeout and a minute

Where nothing can be lost (a synchronous standby, or nobody was at work), say so before
the first start on the new database:

  psql postgresql://bulk@db/ops -c "UPDATE bulkwriter.accounts SET timeline = 0"

Stop the old primary first: whoever is still connected to it counts there.

A pooler such as PgBouncer must pool sessions, not transactions.

Anyone who may read the tables can look, and psql explains them:

  psql postgresql://bulk@db/ops -c '\\d+ bulkwriter.*'
  psql postgresql://bulk@db/ops -c "SELECT to_timestamp(60 * minute), host, kind,
      count FROM bulkwriter.spent WHERE client = '' ORDER BY 1 DESC LIMIT 20"

Jobs stay until you delete them.  This deletes a finished one with its parts and its
log, so export it first.  Its name is then free again:

  psql postgresql://bulk@db/ops -c "DELETE FROM bulkwriter.jobs WHERE job = 'backfill'"

Without a database

  Give each of N machines a part of the quotas: --quota-share 0.5 for two.  A
  ledger or a journal on a network file system (NFS, SMB, sshfs) is refused with
  exit 5: there a machine may not see what others have written.
"""
