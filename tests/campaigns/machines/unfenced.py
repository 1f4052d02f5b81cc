"""`python -m tests.campaigns.machines.unfenced ARGUMENTS`: `bulkwriter` without its fence, to show that it is needed.

Nothing of the package leads here: the check is replaced in this process alone.  What remains is the token in the
database, which keeps an old holder from writing its log, and keeps no request back.
"""

from __future__ import annotations

from bulkwriter.__main__ import main
from bulkwriter.postgres.lease import PartLease


def take_fence_away() -> None:
    """From now on a lease holds for ever, as far as senders are concerned."""
    PartLease.over_s = lambda self: 0.0  # type: ignore[method-assign]


if __name__ == "__main__":
    take_fence_away()
    main()
