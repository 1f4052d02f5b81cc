"""What is refused before a ledger is opened, or anything is made beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bulkwriter.clocks import MACHINE
from bulkwriter.errors import LedgerError, UsageError
from bulkwriter.events import Event
from bulkwriter.quota.build import quotas_for
from bulkwriter.settings import Settings
from bulkwriter.store import network_fs


def ignore(event: Event) -> None:
    """Nobody listens."""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell their mounts here")
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_ledger_on_a_network_file_system_is_refused_with_words(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is made there; the hint names two ways out."""
    (proc := tmp_path / "proc").mkdir()
    (proc / "fdinfo").symlink_to("/proc/self/fdinfo")
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    (proc / "mountinfo").write_text("\n".join(f"{line.partition(' - ')[0]} - {kind} host:/ rw" for line in lines))
    monkeypatch.setattr(network_fs, "PROC", proc)
    ledger = tmp_path / "home" / "ledger"
    settings = Settings(base_url="https://spaces.nexudus.com", token="unused", ledger=ledger, quota=("write:40/day",))
    with pytest.raises(LedgerError, match=f"network file system .{kind}") as refused:
        quotas_for(settings, ignore, MACHINE)
    assert refused.value.exit_code == 5
    assert "--ledger" in refused.value.hint.typed
    assert "--quota-share" in refused.value.hint.typed
    assert not ledger.parent.exists()


def test_a_ledger_in_a_database_needs_the_extra_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    settings = Settings(token="unused", ledger="postgresql://u@h/d")
    with pytest.raises(UsageError, match="needs psycopg") as refused:
        quotas_for(settings, ignore, MACHINE)
    assert "[postgres]" in refused.value.hint
