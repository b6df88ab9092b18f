"""Files of a local landing folder: opening them, which links are followed, and whose clock is used.

A link may lead to any file that the engine can read, such as its own keys, so links are refused.
A setting allows those that stay within the landing folder.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LINK = "a link; LAKEHOUSE_FOLLOW_LINKS=true allows links that stay within the landing folder"
_LEADS_OUT = "a link that leads out of the landing folder"
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs"}
_NETWORK |= {"nfs4", "smb3", "smbfs", "vboxsf", "virtiofs"}


@dataclass(frozen=True)
class Links:
    """The rule for links in a landing folder.

    Attributes:
        root: the landing folder.
        are_followed: whether links are followed that stay within it.
    """

    root: Path
    are_followed: bool = False

    def find_problem(self, link: Path) -> str | None:
        """Returns why a link is not followed; None if it is."""
        if not self.are_followed:
            return _LINK
        return None if self.contains(os.path.realpath(link)) else _LEADS_OUT

    def contains(self, real: str) -> bool:
        """Returns whether a path without links lies in the landing folder."""
        return real.startswith(f"{os.path.realpath(self.root).rstrip('/')}/")


def open_file(path: Path, links: Links) -> BinaryIO:
    """Opens a file of the landing folder, and nothing else.

    Raises:
        OSError: it cannot be opened, is no file, or lies elsewhere.
    """
    # Looked at once it is open: between a look and the opening, somebody may put a link in its
    # place, or in that of a folder above it. Without waiting: opening a pipe would.
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if links.are_followed else os.O_NOFOLLOW)
    file = os.fdopen(os.open(path, flags), "rb")
    is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    if is_file and links.contains(_locate(path, file)):
        return file
    file.close()
    raise OSError(errno.ELOOP, _LEADS_OUT if is_file else "neither a file nor a folder")


def _locate(path: Path, file: BinaryIO) -> str:
    """Returns where an open file lies, without links."""
    try:
        return str(Path(f"/proc/self/fd/{file.fileno()}").readlink())
    except OSError:  # a system without /proc
        return os.path.realpath(path)


def is_on_network(folder: Path) -> bool:
    """Returns whether a folder is on a file server, which dates its files by a clock of its own."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # a system without /proc
        return False
    place, kind = "", ""
    real = os.path.realpath(folder)
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        # Blanks in a mount point are written as octal escapes.
        mount = fields.split(" ")[4].replace("\\040", " ")
        is_above = mount in ("/", real) or real.startswith(f"{mount}/")
        # The longest one counts, and of equal ones the last: it lies on top.
        if is_above and len(mount) >= len(place):
            place, kind = mount, rest.split(" ", 1)[0]
    return kind in _NETWORK or kind.startswith("fuse.")
