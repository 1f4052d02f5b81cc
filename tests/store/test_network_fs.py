"""Network file systems are told from local ones by the mount that a folder lies on, also behind a bind mount."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bulkwriter.store import network_fs
from bulkwriter.store.network_fs import kind_of, mount_id, network_kind

LINE = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - {} {} rw,errors=continue"


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("nfs", "server:/export"), ("nfs4", "server:/"), ("nfs4", "[fe80::1]:/export"), ("cifs", "//server/share"),
        ("smb3", "//server/share"), ("9p", "C:\\134"), ("9p", "hgfs"), ("afs", "AFS"), ("ceph", "1.2.3.4:6789:/"),
        ("lustre", "10.0.0.1@tcp:/fs"), ("glusterfs", "server:/vol"), ("fuse.glusterfs", "server:/vol"),
        ("fuse.sshfs", "me@host:/home/me"), ("fuse.rclone", "remote:bucket"), ("fuse.s3fs", "s3fs"),
        ("fuse.gvfsd-fuse", "gvfsd-fuse"), ("fuse", "https://cloud.example/dav"), ("fuse.new", "me@host:"),
        ("fuse", "//server/share"), ("gfs2", "/dev/mapper/shared"), ("ocfs2", "/dev/sdb1"),
    ],
)  # fmt: skip
def test_what_lies_on_other_machines_is_refused(kind: str, source: str) -> None:
    assert kind_of("36", LINE.format(kind, source)) == kind


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("ext4", "/dev/sda1"), ("xfs", "/dev/mapper/home"), ("btrfs", "/dev/sda2"), ("zfs", "pool/home"),
        ("tmpfs", "tmpfs"), ("overlay", "overlay"), ("aufs", "none"), ("fuse.fuse-overlayfs", "fuse-overlayfs"),
        ("fuseblk", "/dev/sdc1"), ("fuse.gocryptfs", "/home/me/.crypt"), ("fuse.mergerfs", "disk1:disk2"),
        ("fuse.bindfs", "/srv/data"), ("virtiofs", "share"), ("ecryptfs", "/home/.ecryptfs/me/.Private"),
        ("nfsd", "nfsd"), ("fuse.lxcfs", "lxcfs"), ("fusectl", "none"), ("autofs", "/etc/auto.home"),
    ],
)  # fmt: skip
def test_what_lies_on_this_machine_is_not(kind: str, source: str) -> None:
    assert kind_of("36", LINE.format(kind, source)) == ""


@pytest.mark.parametrize(
    ("mount", "text"),
    [("", ""), ("36", ""), ("36", "36"), ("36", "36 35 - nfs4"), ("3", LINE.format("nfs4", "s:/")), ("36", "\0 - - -")],
)
def test_what_cannot_be_found_out_is_not_refused(mount: str, text: str) -> None:
    assert kind_of(mount, text) == ""


def test_only_the_mount_of_the_folder_counts() -> None:
    """The same disk is mounted twice, once at a place below a network's."""
    mounts = "\n".join([
        "27 1 254:0 / / rw - ext4 /dev/vda rw",
        "40 27 0:50 / /home rw shared:7 - nfs4 server:/home rw,addr=10.0.0.1",
        "41 40 254:0 /srv/state /home/me/.local/state rw - ext4 /dev/vda rw",
    ])  # fmt: skip
    assert [kind_of(mount, mounts) for mount in ("27", "40", "41")] == ["", "nfs4", ""]


def test_the_id_of_a_mount_is_read_from_what_the_system_says_of_a_descriptor() -> None:
    assert mount_id("pos:\t0\nflags:\t012000000\nmnt_id:\t27\nino:\t2\n") == "27"
    assert mount_id("pos:\t0\nflags:\t012000000\n") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_mount_of_a_file_that_is_not_there_yet_is_that_of_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A table of mounts in which the one that the test's folder lies on is a network's."""
    path = tmp_path / "missing" / "too" / "ledger"
    assert network_kind(path) == ""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    (proc := tmp_path / "proc").mkdir()
    (proc / "fdinfo").symlink_to("/proc/self/fdinfo")
    (proc / "mountinfo").write_text("\n".join(line.partition(" - ")[0] + " - nfs4 s:/ rw" for line in lines))
    monkeypatch.setattr(network_fs, "PROC", proc)
    assert network_kind(path) == "nfs4"
    (proc / "mountinfo").unlink()
    assert network_kind(path) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_tells_the_mount_of_every_folder() -> None:
    """The table and the descriptors of the real system fit together: each mount id is in the table."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    with Path(__file__).open("rb") as file:
        told = Path(f"/proc/self/fdinfo/{file.fileno()}").read_text(encoding="ascii")
    assert mount_id(told) in {line.split(" ", 1)[0] for line in mounts.splitlines()}
