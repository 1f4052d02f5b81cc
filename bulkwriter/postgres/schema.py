"""The tables that machines share, in the SQL schema `bulkwriter` of a database: made, migrated, checked, granted.

    version         one row: the version of these tables
    accounts        of each account the number of its exchanges, its time scale, and its short windows as one value
    spent           requests by account, clock, host, client, kind and minute, as `spent` of a ledger's file
    learnt          what a server showed of its own limit by throttling
    clients         processes that spend an account's quotas: the number of their last exchange, and their clocks
    jobs            sources that several workers bring to their end
    parts           shares of jobs: who may write one until when (the lease), under which token, and how it stands
    groups          the log of each part: what its journal committed, in order
    chunks          the rows of each part, as they were loaded

Every table and column has its comment, so that `\\d+ bulkwriter.*` in psql explains it.  Each version is a step in
`STEPS`.  A step and its number are one transaction, and two that migrate at once wait for each other.

Who runs bulkwriter needs no right to make tables: USAGE of the schema, and SELECT, INSERT, UPDATE, DELETE of its tables
(`grant`).

A job that is deleted takes its parts with it, and each of these its groups and chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .connect import INIT, PostgresProblem, Problem

if TYPE_CHECKING:
    from .address import Address
    from .connect import Connection

LOCK: Final = 0x62777067
"""Key of the advisory lock of a migration: "bwpg"."""

LEDGER: Final = """
CREATE TABLE bulkwriter.accounts (
    account text PRIMARY KEY,
    exchanges bigint NOT NULL DEFAULT 0,
    purged bigint NOT NULL DEFAULT 0,
    clock integer NOT NULL DEFAULT 1,
    shift_s double precision NOT NULL DEFAULT 0,
    sure_at double precision NOT NULL DEFAULT 0,
    spread_s double precision NOT NULL DEFAULT 0 CHECK (spread_s >= 0),
    short text NOT NULL DEFAULT '',
    short_clock integer NOT NULL DEFAULT 1,
    short_at double precision NOT NULL DEFAULT 0
);
COMMENT ON TABLE bulkwriter.accounts IS 'accounts whose quotas are shared; an exchange locks its row';
COMMENT ON COLUMN bulkwriter.accounts.account IS '--account, or the base URL';
COMMENT ON COLUMN bulkwriter.accounts.exchanges IS 'how many exchanges there were';
COMMENT ON COLUMN bulkwriter.accounts.purged IS 'rows of spent with count 0 are gone that changed up to this exchange';
COMMENT ON COLUMN bulkwriter.accounts.clock IS
    'rises where nobody can say how far the database''s clock was set meanwhile; what other clocks wrote is placed by '
    'the server''s clock, or counts from when it was first seen';
COMMENT ON COLUMN bulkwriter.accounts.shift_s IS
    'ledger time = epoch seconds of the database''s clock + this: steps of that clock are taken out';
COMMENT ON COLUMN bulkwriter.accounts.sure_at IS
    'ledger time of the last exchange of a client that knew how the database''s clock had run';
COMMENT ON COLUMN bulkwriter.accounts.spread_s IS 'how far the clocks of the account''s server lie apart';
COMMENT ON COLUMN bulkwriter.accounts.short IS 'slots of short windows, held and cooling, as JSON';
COMMENT ON COLUMN bulkwriter.accounts.short_clock IS 'the clock that the times in short are of';
COMMENT ON COLUMN bulkwriter.accounts.short_at IS 'ledger time when short was written';

CREATE TABLE bulkwriter.spent (
    account text NOT NULL,
    clock integer NOT NULL,
    host text NOT NULL,
    client text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('write', 'read', 'write-refused', 'read-refused')),
    minute double precision NOT NULL,
    count bigint NOT NULL CHECK (count >= 0),
    ended double precision,
    seen_clock integer NOT NULL DEFAULT 0,
    seen_at double precision NOT NULL DEFAULT 0,
    changed bigint NOT NULL,
    PRIMARY KEY (account, clock, host, client, kind, minute)
);
CREATE INDEX spent_changed ON bulkwriter.spent (account, changed);
COMMENT ON TABLE bulkwriter.spent IS 'requests of accounts, by the minute in which they ended';
COMMENT ON COLUMN bulkwriter.spent.host IS 'name of the machine that sent them';
COMMENT ON COLUMN bulkwriter.spent.client IS
    'empty: they have ended; else units of that client''s lease, in the minute in which the last of them can end';
COMMENT ON COLUMN bulkwriter.spent.kind IS 'write and read: all requests; -refused: those of them that were throttled';
COMMENT ON COLUMN bulkwriter.spent.minute IS
    'minutes of ledger time: to_timestamp(60 * minute); near the beginning of a calendar day it has parts';
COMMENT ON COLUMN bulkwriter.spent.ended IS
    'epoch seconds of the minute''s end by the account''s server; null: unknown';
COMMENT ON COLUMN bulkwriter.spent.seen_clock IS 'which later clock has first seen this row (0: none), at seen_at';
COMMENT ON COLUMN bulkwriter.spent.changed IS 'number of the exchange that changed this row last';

CREATE TABLE bulkwriter.learnt (
    account text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('write', 'read')),
    most bigint NOT NULL CHECK (most >= 0),
    until double precision NOT NULL,
    try_at double precision NOT NULL,
    tries bigint NOT NULL CHECK (tries >= 0),
    stretch bigint NOT NULL CHECK (stretch >= 0),
    PRIMARY KEY (account, kind)
);
COMMENT ON TABLE bulkwriter.learnt IS
    'what throttles have shown of a limit that no setting names; times in epoch seconds';

CREATE TABLE bulkwriter.clients (
    account text NOT NULL,
    client text NOT NULL,
    number bigint NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    boot text NOT NULL,
    low_s double precision NOT NULL,
    high_s double precision NOT NULL,
    seen_at double precision NOT NULL,
    PRIMARY KEY (account, client)
);
CREATE INDEX clients_boot ON bulkwriter.clients (account, boot, seen_at);
COMMENT ON TABLE bulkwriter.clients IS 'processes that spend, or spent, quotas of an account';
COMMENT ON COLUMN bulkwriter.clients.number IS 'of its last exchange: the same number again is a repeat';
COMMENT ON COLUMN bulkwriter.clients.boot IS 'which boot of which machine, and so whose clock since boot';
COMMENT ON COLUMN bulkwriter.clients.low_s IS 'ledger time minus that clock is at least this ...';
COMMENT ON COLUMN bulkwriter.clients.high_s IS '... and at most this';
COMMENT ON COLUMN bulkwriter.clients.seen_at IS 'ledger time of its last exchange: to_timestamp(seen_at)';
"""

JOBS: Final = """
CREATE TABLE bulkwriter.jobs (
    job text PRIMARY KEY,
    base_url text NOT NULL,
    account text NOT NULL DEFAULT '',
    entity text NOT NULL,
    columns text[] NOT NULL DEFAULT '{}',
    parts integer NOT NULL CHECK (parts >= 0),
    dealt_by text NOT NULL DEFAULT '',
    source text NOT NULL DEFAULT '',
    source_identity jsonb NOT NULL DEFAULT '{}',
    rows bigint CHECK (rows >= 0),
    loaded_at timestamptz,
    made_at timestamptz NOT NULL DEFAULT now(),
    made_by text NOT NULL DEFAULT '',
    meta jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE bulkwriter.jobs IS 'sources that several workers bring to their end';
COMMENT ON COLUMN bulkwriter.jobs.parts IS
    'into how many parts its source was loaded; 0: services name parts of their own';
COMMENT ON COLUMN bulkwriter.jobs.dealt_by IS 'the rule by which rows were dealt out to parts';
COMMENT ON COLUMN bulkwriter.jobs.rows IS 'of the source; null until it was read to its end';
COMMENT ON COLUMN bulkwriter.jobs.loaded_at IS 'when the source was there as a whole; null before: nothing is sent yet';
COMMENT ON COLUMN bulkwriter.jobs.meta IS 'all else that concerns the job as a whole';

CREATE TABLE bulkwriter.parts (
    job text NOT NULL REFERENCES bulkwriter.jobs ON DELETE CASCADE,
    part text NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT '',
    claimed_at timestamptz,
    lease_end timestamptz,
    lease_s double precision NOT NULL DEFAULT 0,
    deadline_s double precision NOT NULL DEFAULT 0,
    system_id text NOT NULL DEFAULT '',
    timeline integer NOT NULL DEFAULT 0,
    shipped bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    counts jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'open',
    ended_reason text NOT NULL DEFAULT '',
    meta jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (job, part)
);
COMMENT ON TABLE bulkwriter.parts IS 'shares of jobs, each written by one worker at a time';
COMMENT ON COLUMN bulkwriter.parts.token IS
    'of the last claim: it rises with each, and what names a lower one is refused';
COMMENT ON COLUMN bulkwriter.parts.holder IS
    'who claimed it: host and process; empty once it was given up';
COMMENT ON COLUMN bulkwriter.parts.lease_end IS
    'the end of the lease by the database''s clock, for people: no process goes by that clock';
COMMENT ON COLUMN bulkwriter.parts.lease_s IS
    'others may claim it once this row has not changed for so long by their own clock';
COMMENT ON COLUMN bulkwriter.parts.deadline_s IS
    'the longest request of the holder: what it sent ends so long after the lease';
COMMENT ON COLUMN bulkwriter.parts.system_id IS
    'the database cluster at the last claim; another one may have lost commits';
COMMENT ON COLUMN bulkwriter.parts.timeline IS 'its timeline at the last claim; another one may have lost commits';
COMMENT ON COLUMN bulkwriter.parts.shipped IS 'number of the last group in the log';
COMMENT ON COLUMN bulkwriter.parts.rows IS 'rows of the source that were dealt to this part';
COMMENT ON COLUMN bulkwriter.parts.counts IS 'its rows by outcome, as of the last group';
COMMENT ON COLUMN bulkwriter.parts.state IS 'open, or done: every row of it is settled';

CREATE TABLE bulkwriter.groups (
    job text NOT NULL,
    part text NOT NULL,
    number bigint NOT NULL,
    token bigint NOT NULL,
    payload bytea NOT NULL,
    shipped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, part, number),
    FOREIGN KEY (job, part) REFERENCES bulkwriter.parts ON DELETE CASCADE
);
COMMENT ON TABLE bulkwriter.groups IS
    'the log of each part: one row a commit of its journal, from number 1 without gaps';
COMMENT ON COLUMN bulkwriter.groups.token IS 'the claim under which it was shipped';

CREATE TABLE bulkwriter.chunks (
    job text NOT NULL,
    part text NOT NULL,
    number integer NOT NULL,
    rows integer NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (job, part, number),
    FOREIGN KEY (job, part) REFERENCES bulkwriter.parts ON DELETE CASCADE
);
COMMENT ON TABLE bulkwriter.chunks IS 'the rows of each part in the order of the source, from number 0 without gaps';
COMMENT ON COLUMN bulkwriter.chunks.first_seq IS 'the place in the source of its first row; last_seq: of its last one';
"""

HISTORY: Final = """(SELECT system_identifier::text FROM pg_control_system())
    || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
    || '/' || 'bulkwriter.accounts'::regclass::oid || '/' || 'bulkwriter.parts'::regclass::oid"""
"""Which tables these are: the cluster, the database in it, and the tables in that.  A dump that is restored makes them
anew, also in the same cluster.  (Not their files: VACUUM FULL makes new ones.)"""
TIMELINE: Final = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer"

LOSS: Final = f"""
ALTER TABLE bulkwriter.accounts ADD COLUMN system_id text NOT NULL DEFAULT '';
ALTER TABLE bulkwriter.accounts ADD COLUMN timeline integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN bulkwriter.accounts.system_id IS
    'cluster, database and tables at the last exchange; others may have lost what was spent last';
COMMENT ON COLUMN bulkwriter.accounts.timeline IS
    'its timeline at the last exchange; another one may have lost what was spent last; 0: whichever, nothing was lost';
COMMENT ON COLUMN bulkwriter.parts.system_id IS
    'cluster, database and tables at the load or the last claim; others may have lost commits';
COMMENT ON COLUMN bulkwriter.parts.timeline IS
    'the timeline then; another one may have lost commits; -1: a worker saw that commits were lost';
UPDATE bulkwriter.parts SET timeline = CASE system_id WHEN '' THEN {TIMELINE} ELSE timeline END, system_id = {HISTORY}
    WHERE system_id IN ('', (SELECT system_identifier::text FROM pg_control_system()));
"""  # noqa: S608 our own words

STEPS: Final = (LEDGER + JOBS, LOSS)
"""What makes version 1 of nothing, version 2 of version 1, and so on."""
VERSION: Final = len(STEPS)


def make(connection: Connection) -> int:
    """Make the tables, or bring them up to date; harmless when repeated.  The version that was there before, 0: none.

    Raises psycopg's errors, and `PostgresProblem` for tables of a later version.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute("CREATE SCHEMA IF NOT EXISTS bulkwriter")
        connection.execute("CREATE TABLE IF NOT EXISTS bulkwriter.version (version integer NOT NULL)")
        before = version_of(connection)
        if before > VERSION:
            raise PostgresProblem(later(before))
        for step in STEPS[before:]:
            connection.execute(step)
        connection.execute("DELETE FROM bulkwriter.version")
        connection.execute("INSERT INTO bulkwriter.version VALUES (%s)", [VERSION])
        connection.execute("COMMENT ON TABLE bulkwriter.version IS 'the version of these tables'")
    return before


def version_of(connection: Connection) -> int:
    """The version of the tables; 0 for a new schema.  Raises psycopg's errors, also where there is no schema."""
    found = connection.execute("SELECT max(version) FROM bulkwriter.version").fetchone()
    return int(str(found[0])) if found and found[0] is not None else 0


def check(connection: Connection, address: Address) -> None:
    """Raise `PostgresProblem` unless the tables are of this version; psycopg's errors where there are none."""
    version = version_of(connection)
    if version > VERSION:
        raise PostgresProblem(later(version))
    if version < VERSION:
        raise PostgresProblem(Problem(f"the tables at {address.shown} are of version {version}", INIT, passes=False))


def later(version: int) -> Problem:
    return Problem(
        f"the tables have version {version}; this bulkwriter knows versions up to {VERSION}",
        "use the bulkwriter that made them, or a later one",
        passes=False,
    )


def grant(connection: Connection, role: str) -> None:
    """Give a role what running bulkwriter needs, now and after later migrations.  Raises psycopg's errors."""
    from psycopg import sql

    name = sql.Identifier(role)
    for statement in (
        "GRANT USAGE ON SCHEMA bulkwriter TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bulkwriter TO {}",
        "REVOKE INSERT, UPDATE, DELETE ON bulkwriter.version FROM {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA bulkwriter GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
    ):
        connection.execute(sql.SQL(statement).format(name))
