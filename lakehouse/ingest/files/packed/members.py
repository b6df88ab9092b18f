"""Which members of an archive are read.

Belongs here: the choice by name. Does not belong here: the bytes of members (`archives.py`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from lakehouse.ingest.files.listing import is_hidden, spell_out
from lakehouse.ingest.files.packed.archives import Member
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.tables.files import Files
from lakehouse.wording import name_first

_LITTER = ("thumbs.db", "desktop.ini")
"""Names of files that Windows leaves in folders; those of a Mac begin with `.` or `__`."""


def choose_members(
    members: Sequence[Member], kind: str, files: Files
) -> tuple[list[Member], list[str]]:
    """Chooses the members to read: those that would count as deliveries in a folder.

    Args:
        members: all members that are no folders.
        kind: what the archive is.
        files: what is declared of members.

    Returns:
        The members, and what a person should know of the others.

    Raises:
        RefusedError: none is left, or two have the same name.
    """
    found = [_check_name(member) for member in members]
    seen = [member for member in found if member.problem or not _is_litter(member.name)]
    # The only file of an archive is what was delivered, whatever its name.
    seen = seen or (found if len(found) == 1 else [])
    chosen = [member for member in seen if files.members is None or _matches(member, files.members)]
    left = [member.name for member in seen if member not in chosen]
    if not chosen:
        names = name_first([member.name for member in found]) if found else "none at all"
        wanted = "" if files.members is None else f" that match members={files.members!r}"
        raise RefusedError(f"{kind} file holds 0 files to read{wanted}, of {names}")
    counts = Counter(member.name for member in chosen)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RefusedError(f"{kind} file holds several files of one name: {name_first(twice)}")
    notes = [f"left out by members={files.members!r}: {name_first(left)}"] if left else []
    return chosen, notes


def _is_litter(name: str) -> bool:
    return is_hidden(name) or name.rsplit("/", 1)[-1].lower() in _LITTER


def _matches(member: Member, pattern: str) -> bool:
    # A pattern without a folder is meant for the file, wherever it lies.
    return any(fnmatchcase(name, pattern) for name in (member.name, member.name.rsplit("/", 1)[-1]))


def _check_name(member: Member) -> Member:
    """Returns a member with a name that text can hold, and with its problem if that leads out."""
    # `tar -c .` writes `./a.csv`.
    kept = [part for part in spell_out(member.name).split("/") if part != "."]
    member = replace(member, name="/".join(kept))
    # Nothing is written under this name, but other programs may take it from `_source`.
    parts = member.name.replace("\\", "/").split("/")
    if ".." not in parts and parts[0] and not parts[0].endswith(":"):
        return member
    return replace(member, problem="named as if it lay outside of the archive; it is not read")
