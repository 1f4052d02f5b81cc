"""The options of a worker of a job, as its command line has them: for whoever pastes it, and for nodes of a cluster.

All that was given goes along, from wherever it came, but for how this process tells things: a worker without the same
ledger, quotas and waits would spend the account's limits a second time.  No secret is ever among them: the URL of a job
is shown without its password, and so is a proxy.  A ledger with a password is left out (`hidden`): a command line
cannot have it, so it came from the environment or the user's own file, and without its password it would be another.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from ..shell import join, operand
from . import choose

if TYPE_CHECKING:
    from ..postgres.address import Address

OWN: Final = frozenset({"as_json", "log_file", "metrics_file", "on_end", "progress", "yes", "verbose", "log_format"})
"""Options of the command that is given here; a worker has its own."""


def options_of(given: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Each option of `bulkwriter work` that was given: its name, its flag, and its value, True for a bare flag."""
    from .work import command

    for param in command.params:
        value = given.get(param.name or "")
        if not isinstance(param, click.Option) or param.name in OWN or not choose.is_given(value):
            continue
        for one in value if isinstance(value, tuple | list) else (value,):
            yield str(param.name), param.opts[0], one


def work_command(address: Address, given: Mapping[str, Any]) -> str:
    """The `bulkwriter work` that works on this job as these options say, safe to paste and to show."""
    words = ["bulkwriter", "work", operand(str(address))]
    for name, flag, value in options_of(given):
        if getattr(value, "secrets", ()):
            continue
        text = choose.without_password(str(value)) if name == "proxy" else shown(value)
        words += [flag] if value is True else [flag, text]
    return join(words)


def hidden(address: Address, given: Mapping[str, Any]) -> str:
    """What a worker needs besides its command line, in words; "" for nothing."""
    needs = ["BULKWRITER_LEDGER as it is here"] * any(
        getattr(value, "secrets", ()) for _, _, value in options_of(given)
    )
    needs += ["PGPASSWORD or ~/.pgpass for the job's database"] * bool(address.secrets)
    return f", each with {' and '.join(needs)}" if needs else ""


def shown(value: object) -> str:
    """A value as a person writes it: 30, not 30.0."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
