"""What each period of a table was made from, as the audits in its own log say.

Belongs here: which commits are in effect after RESTOREs, and where the log is too short to tell. Does not belong here:
whether what was consumed is still the latest (`staleness.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from deltalake import DeltaTable

from lakehouse.audit import Provenance
from lakehouse.lake import Commit, Lake
from lakehouse.tables import DerivedTable
from lakehouse.touched import audit_of


@dataclass(frozen=True)
class Made:
    """From what each period of a table was made.

    Attributes:
        provenance: the inputs of each period that is found in the log; the key is None for the whole table.
        is_whole: whether the log tells of every period that was made after the version asked for.
    """

    provenance: Mapping[date | None, Provenance]
    is_whole: bool = True

    def consumed(
        self, name: str, current: DeltaTable, keys: Iterable[date | None], floor: int
    ) -> dict[date | None, int]:
        """The version of an input that each of some periods was made from; `floor` for periods that are not found.

        It is -1 where another table stood there, which was deleted since and built again.
        """
        latest, identity = current.version(), str(current.metadata().id)

        def of(key: date | None) -> int:
            provenance = self.provenance.get(key)
            version = floor if provenance is None else provenance.inputs.get(name, -1)
            is_same = version <= latest and (provenance is None or provenance.ids.get(name, identity) == identity)
            return version if is_same else -1

        return {key: of(key) for key in keys}


def made_by(lake: Lake, table: DerivedTable, *, after: int = -1) -> Made:
    """What each period was made from, by the commits after a version that are in effect.

    A period that is not found because the log was cleaned up, or restored to a version that it no longer tells of, is
    found again as soon as it was made once more.
    """
    commits, is_whole = in_effect(lake, table.name, after=after)
    provenance: dict[date | None, Provenance] = {}
    for commit in commits:
        audit = audit_of(commit)
        if audit is not None:
            keys = [None] if table.partitions is None else [k for s in audit.made for k in table.partitions.keys(s)]
            provenance |= dict.fromkeys(keys, audit.provenance)
    return Made(provenance, is_whole)


def in_effect(lake: Lake, table: str, *, after: int = -1) -> tuple[list[Commit], bool]:
    """The commits after a version that no RESTORE has undone, oldest first, and whether none is missing."""
    log = lake.log_tail(table, after=after)
    effective: list[Commit] = []
    is_whole = log.after <= after
    for commit in log.commits:
        if commit.info.get("operation") != "RESTORE":
            effective.append(commit)
            continue
        target = _restored_version(commit.info)
        effective = [earlier for earlier in effective if earlier.version <= target]
        is_whole = is_whole and target >= log.after
    return effective, is_whole


def _restored_version(info: Mapping[str, Any]) -> int:
    """The version that a RESTORE went back to; -2, which is before every log, where it is named by its time."""
    parameters = info.get("operationParameters")
    version = parameters.get("version") if isinstance(parameters, Mapping) else None
    return int(str(version)) if str(version).isdigit() else -2
