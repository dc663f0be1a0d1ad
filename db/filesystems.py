"""On which kind of file system a file lies: SQLite's locks and its shared memory do not hold across a network."""

from __future__ import annotations

import re
from pathlib import Path

_KERNEL = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "coda", "ceph", "lustre", "gpfs", "beegfs", "davfs")
_CLUSTER = ("glusterfs", "orangefs", "pvfs2", "acfs", "ocfs2", "gfs2")
_FUSE = ("sshfs", "glusterfs", "ceph", "rclone", "s3fs", "davfs", "gcsfuse", "smbnetfs")
NETWORK = frozenset([*_KERNEL, *_CLUSTER, *(f"fuse.{name}" for name in _FUSE)])
"""Types that several machines may share."""

GUEST = frozenset(("9p", "virtiofs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "drvfs"))
"""Types by which a virtual machine sees the disk of its host, safe for as long as the host leaves the file alone."""

MOUNTS = Path("/proc/mounts")


def kind_of(path: Path) -> str | None:
    """Type of the file system of a path, which may not exist yet, as in `/proc/mounts`; None where it is unknown."""
    try:
        mounts = MOUNTS.read_text()
    except OSError:
        return None
    return _kind(path.resolve(), mounts)


def is_network(path: Path) -> bool:
    """Whether a path lies on a file system that other machines may share."""
    return kind_of(path) in NETWORK


def _kind(path: Path, mounts: str) -> str | None:
    """The type of the mount nearest above a path; of several in the same place, the last one is on top."""
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split(" ")
        folder = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place))
        if path.is_relative_to(folder) and (found is None or len(folder.parts) >= found[0]):
            found = (len(folder.parts), kind)
    return found[1] if found else None
