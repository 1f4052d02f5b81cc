"""Help for several machines that share an account, and for what starts workers: `bulkwriter help machines`.

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
  backup or dump was restored   allowed since its last exchange counts as spent, or all
                                of them where nobody knows how long that is; a note
                                says so.  Short quotas wait until nothing can be on its
                                way any more: --timeout and a minute

Where nothing can be lost (a synchronous standby, or nobody was at work), say so before
the first start on the new database:

  psql postgresql://bulk@db/ops -c "UPDATE bulkwriter.accounts SET timeline = 0"

Stop the old primary first: whoever is still connected to it counts there.

A copy of the database's files, or a snapshot of its disk, that is put back looks as it
was, and a job or an account that was made after the copy looks new.  Whoever was at work
notices that it lacks what they wrote, and each machine notices what it wrote itself: it
keeps some numbers for each part and account in STATE/bulkwriter/seen, where STATE is
XDG_STATE_HOME or ~/.local/state.  So does one that finds a new ledger in place of the
one it knows.  Where no machine with such a folder is left, or comes first, nobody can
notice: say so yourself before the next start, for the quotas and for the jobs (then
their workers need --after-loss).  A job that is gone is loaded again with --after-loss.
Who begins anew on purpose, a day after the last write, removes that folder first.

  psql postgresql://bulk@db/ops -c "UPDATE bulkwriter.accounts SET timeline = -1"
  psql postgresql://bulk@db/ops -c "UPDATE bulkwriter.parts SET timeline = -1"

A pooler such as PgBouncer must pool sessions, not transactions.

Anyone who may read the tables can look, and psql explains them:

  psql postgresql://bulk@db/ops -c '\\d+ bulkwriter.*'
  psql postgresql://bulk@db/ops -c "SELECT to_timestamp(60 * minute), host, kind,
      count FROM bulkwriter.spent WHERE client = '' ORDER BY 1 DESC LIMIT 20"

Jobs stay until you delete them.  This deletes a finished one with its parts and its
log, so export it first.  Machines that worked on it remember its name: take another one
for the next job, or load that with --after-loss:

  psql postgresql://bulk@db/ops -c "DELETE FROM bulkwriter.jobs WHERE job = 'backfill'"

Without a database

  Give each of N machines a part of the quotas: --quota-share 0.5 for two.  A
  ledger or a journal on a network file system (NFS, SMB, sshfs) is refused with
  exit 5: there a machine may not see what others have written.

Workers, by what you run already

bulkwriter help jobs tells what a job is.  JOB is its URL.  A worker that is killed, or
ends with 3 or 75, is started again.  One that ends with 0 or 1 has nothing left to do.
2, 4, 5 and 6 are yours to put right.  So is a database that may have lost commits: it
stops a worker with 75, and a start on it is refused with 5 until you add --after-loss.

systemd: /etc/systemd/system/bulkwriter-work@.service, then systemctl daemon-reload and
systemctl enable --now bulkwriter-work@1 bulkwriter-work@2

  [Unit]
  Wants=network-online.target
  After=network-online.target

  [Service]
  DynamicUser=yes
  StateDirectory=bulkwriter-%i
  Environment=XDG_STATE_HOME=%S/bulkwriter-%i PGPASSFILE=%d/pgpass
  LoadCredential=token:/etc/bulkwriter/token
  LoadCredential=pgpass:/etc/bulkwriter/pgpass
  EnvironmentFile=/etc/bulkwriter/env
  ExecStart=/usr/bin/env bulkwriter work ${JOB} --token-file %d/token
  SuccessExitStatus=1 143
  Restart=on-failure
  RestartPreventExitStatus=2 4 5 6
  RestartSec=60
  TimeoutStopSec=60

  [Install]
  WantedBy=multi-user.target

/etc/bulkwriter belongs to root; its file env has JOB=... and BULKWRITER_LEDGER=...,
a line each.

Kubernetes: three workers, as a Job.  The secret has JOB, BULKWRITER_LEDGER,
BULKWRITER_TOKEN and PGPASSWORD

  apiVersion: batch/v1
  kind: Job
  metadata: {name: backfill}
  spec:
    parallelism: 3
    backoffLimit: 1000
    podFailurePolicy:
      rules:
      - {action: FailJob, onExitCodes: {operator: In, values: [2, 4, 5, 6]}}
      - {action: Ignore, onPodConditions: [{type: DisruptionTarget, status: "True"}]}
    template:
      spec:
        restartPolicy: Never
        terminationGracePeriodSeconds: 60
        containers:
        - name: work
          image: bulkwriter
          command: [sh, -c, 'bulkwriter work "$JOB" & trap "kill -TERM $!" TERM; wait $!;
            code=$?; wait $! 2>/dev/null; [ $code = 1 ] || exit $code']
          envFrom: [{secretRef: {name: bulkwriter}}]

Kubernetes without a database: one writer, whose volume moves with it, as a StatefulSet

  apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: backfill}
  spec:
    serviceName: backfill
    replicas: 1
    selector: {matchLabels: {app: backfill}}
    template:
      metadata: {labels: {app: backfill}}
      spec:
        terminationGracePeriodSeconds: 60
        containers:
        - name: run
          image: bulkwriter
          command: [sh, -c, 'bulkwriter run /data/pairs.csv & trap "kill -TERM $!" TERM;
            wait $!; code=$?; wait $! 2>/dev/null;
            case $code in 0|1) exec sleep infinity;; esac; exit $code']
          env: [{name: HOME, value: /data}]
          envFrom: [{secretRef: {name: bulkwriter}}]
          volumeMounts: [{name: data, mountPath: /data}]
    volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOncePod]
        resources: {requests: {storage: 10Gi}}

Slurm: sbatch work.sbatch places four workers, and places each again when its time is up
or its node fails

  #!/bin/sh
  #SBATCH --array=1-4 --requeue --open-mode=append --time=1-0 --signal=TERM@120
  srun bulkwriter work "$JOB"
  case $? in 3|75|143) scontrol requeue "$SLURM_JOB_ID";; esac

Ray: one command loads the job, places eight workers and tells the end of all

  bulkwriter run pairs.csv --journal $JOB --on ray:HEAD:6379 --workers 8

Every node needs this bulkwriter with the extras postgres and ray, and signs in by
itself: BULKWRITER_TOKEN and PGPASSWORD in the environment of `ray start`, or files
of the node.  No secret goes by way of Ray.  A lost node is told, its worker is
placed again, and others take its part over.  Where the head is lost the command
ends with 75, once Ray gives it up (60 s): the same command on another cluster goes
on.  --on ray alone starts a cluster on this machine.
"""
