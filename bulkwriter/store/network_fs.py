"""Refuses a file on a network file system: its locks may not reach other machines, and its writes may come late.

SQLite's own advice is to keep a database off such file systems.  Two machines with one ledger would each count alone.
What is asked is the mount that a folder really lies on, by the mount id of an open descriptor, so that bind mounts,
subvolumes and symbolic links lead nowhere else.  The table is by name and not by magic number, since every FUSE file
system, local or not, has the same one.

    refused      the file systems of `NETWORK`; FUSE file systems of `NETWORK_FUSE`, and those whose source names a host
    not refused  all others, overlay and local FUSE among them; whatever has no /proc/self/mountinfo (other systems
                 than Linux): there nothing is known

Not here: which files are asked about, since that is for their owners.
Source: proc(5), /proc/self/mountinfo and fdinfo; mount(8); sqlite.org/lockingv3.html, section 6; sqlite.org/wal.html.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc/self")
NETWORK: Final = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "weka", "wekafs",
})  # fmt: skip
"""9p is also how WSL 2 shows the drives of Windows.  gfs2 and ocfs2 are disks that several machines share."""
NETWORK_FUSE: Final = frozenset({
    "afp", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "davfs", "davfs2", "gcsfuse", "glusterfs",
    "goofys", "gvfsd-fuse", "hadoop-fuse-dfs", "httpfs", "juicefs", "lizardfs", "mfs", "moosefs", "mount-s3", "rclone",
    "s3backer", "s3fs", "seaweedfs", "smbnetfs", "sshfs",
})  # fmt: skip
"""Types that follow `fuse.`, as their programs name them."""
HAS_HOST: Final = re.compile(r"[A-Za-z][\w+.-]*://|//[^/]|[^/:\s]+@[^/:\s]+:")
"""The source of a mount that lies on a host: a URL, //host/share, user@host:/path."""


def network_kind(path: Path) -> str:
    """The type of the network file system on which `path` lies or would be made, such as "nfs4"; "" if on none.

    Never raises: where nothing can be found out, nothing is said.  A mount that hangs makes this hang, as it would make
    the first use of the file.
    """
    folder = path
    while not folder.is_dir() and folder.parent != folder:
        folder = folder.parent
    try:
        at = os.open(folder, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
        try:
            told = (PROC / "fdinfo" / str(at)).read_text(encoding="ascii")
        finally:
            os.close(at)
        mounts = (PROC / "mountinfo").read_text(encoding="utf-8", errors="replace")
    except (OSError, UnicodeDecodeError):
        return ""
    return kind_of(mount_id(told), mounts)


def mount_id(fdinfo: str) -> str:
    """The id in a line like `mnt_id:  27`, or ""."""
    return next((line.split()[1] for line in fdinfo.splitlines() if line.startswith("mnt_id:")), "")


def kind_of(mount: str, mountinfo: str) -> str:
    """The type of this mount if it is a network's, or "".

    A line is `27 1 254:0 /root /mounted/at options [optional fields] - type source superblock-options`.
    """
    for line in mountinfo.splitlines():
        before, _, behind = line.partition(" - ")
        words = behind.split(" ")
        if before.split(" ", 1)[0] == mount and len(words) > 1:
            kind, source = words[0], words[1]
            name, _, sub = kind.partition(".")
            is_fuse = name in ("fuse", "fuseblk")
            if kind in NETWORK or (is_fuse and (sub in NETWORK_FUSE or HAS_HOST.match(source))):
                return kind
    return ""
