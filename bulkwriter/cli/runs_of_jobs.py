"""`bulkwriter runs URL`: the jobs of a database, and how each stands by the counts of its parts.

    not begun    no worker has taken a part yet
    at work      some part has a worker
    stopped      no part has one, and pairs are left
    finished     no part has anything left; rows that were refused are told

The newest comes first.  No log is read, so this is cheap for jobs of any size; `status` reads them.

Invariant: reads only.  Not here: the runs of one user on one machine (`runs`).
"""

from __future__ import annotations

from typing import Any

from ..errors import JournalError
from ..postgres.address import Address, is_postgres, refuse_password
from ..postgres.jobs import Job, PartStanding, counts_of, find, names, opened, parts_done, parts_of
from ..shell import join, operand, visible
from . import describe
from .journals import no_database
from .stdout import put, put_json


def show(url: str, *, as_json: bool) -> int:
    """Print the job of this URL, or all jobs of its database; the exit code.  Raises `JournalError`."""
    if not is_postgres(url):
        raise no_database(url)
    address = Address.parse(url)
    refuse_password(address)
    with opened(address) as connection:
        known = [address.job] if address.job else names(connection)
        jobs = [(job, parts_of(connection, job)) for name in known if (job := find(connection, name))]
    if address.job and not jobs:
        raise JournalError(f"there is no job at {address}", hint=join(["bulkwriter", "runs", str(address.of_database)]))
    told = [facts_of(address, job, parts) for job, parts in jobs]
    if as_json:
        put_json({"runs": told, "exit_code": 0})
    elif told:
        put("\n\n".join("\n".join(lines_of(job)) for job in told))
    else:
        put(f"no jobs yet in {visible(str(address))}")
    return 0


def facts_of(address: Address, job: Job, parts: list[PartStanding]) -> dict[str, Any]:
    """One job, as `--json` has it."""
    counts, rows = counts_of(parts)
    left, held = sum(part.left for part in parts), sum(part.is_held for part in parts)
    state = "at work" if held else "finished" if not left else "stopped" if counts.pairs else "not begun"
    return {
        "state": state,
        "journal": str(address.with_job(job.name)),
        "base_url": job.identity.base_url,
        "account": job.identity.account or None,
        "began_at": job.made_at.isoformat(timespec="seconds"),
        **counts.to_json(),
        **rows.to_json(),
        "left": left,
        "parts": len(parts),
        "parts_done": parts_done(parts),
        "workers": held,
    }


def lines_of(job: dict[str, Any]) -> list[str]:
    """One job for people."""
    account = f", account {job['account']}" if job["account"] else ""
    rows = [
        (job["state"], f"{job['journal']}, loaded {describe.when(job['began_at'])}"),
        ("", f"to {job['base_url']}{account}"),
        ("", f"{job['rows_total'] - job['left']:,} of {job['rows_total']:,} rows are settled, {job['left']:,} left"),
        ("", f"{job['parts_done']} of {describe.quantity(job['parts'], 'part')} done, {job['workers']} with a worker"),
    ]
    refused = [f"{job[name]:,} {name}" for name in ("rejected", "invalid") if job[name]]
    if refused:
        rows.append(("", f"not written: {' and '.join(refused)}"))
    rows.append(("", join(["bulkwriter", "status", operand(job["journal"])])))
    return [visible(f"{word:<10}  {text}") for word, text in rows]
