"""The audit of a commit: what became of every row that was read, and whether the counts add up.

Belongs here: the fates of a commit's rows, the law of conservation, and the form in which a commit
stores them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from pydantic import TypeAdapter

from lakehouse.calendar import Days
from lakehouse.errors import DataError, LawError, list_problems
from lakehouse.publish.changes import AffectedDays, Content
from lakehouse.storage.revision import Revision, parse_revision

AUDIT_KEY = "audit"
"""The key of a commit's custom metadata that holds its audit."""


@dataclass(frozen=True)
class Provenance:
    """Who made a commit, and from what.

    Attributes:
        run_id: the orchestrator's run, or the caller's own name for it.
        code_version: hash of the transform that made the rows.
        contract_version: hash of the contract that judged them.
        inputs: the revision of every input table that was read; None for one that did not exist
            yet.
        quarantine: the revision of the table with the rows that the commit rejected; None where
            there was none yet.
        batch_id: the batch that was appended, for raw tables.
    """

    run_id: str = "local"
    code_version: str = ""
    contract_version: str = ""
    inputs: Mapping[str, Revision | None] = field(default_factory=dict)
    quarantine: Revision | None = field(default=None, kw_only=True)
    batch_id: str | None = None

    def to_metadata(self) -> dict[str, Any]:
        """Returns JSON-able values, revisions as text."""
        return {
            **asdict(self),
            "inputs": {name: _text(revision) for name, revision in self.inputs.items()},
            "quarantine": _text(self.quarantine),
        }


@dataclass(frozen=True)
class Audit:
    """The account of one commit: every row that was read, by its fate.

    Counts are rows of the first input. In a table of aggregates `written` adds up how many rows
    each aggregate covers, while `rows` counts the rows of the table itself.

    Attributes:
        table: the table that was published to.
        mode: `append`, `replace`, or how changes were applied to a table with keys: `upsert` (type
            1), `history` (type 2).
        read: rows read.
        written: rows that were written, or that a written aggregate covers.
        quarantined: rows that broke the contract.
        superseded: repeated rows, and older versions of a key.
        filtered: rows left out, by the name of the rule that did so.
        dead_letters: records that could not be parsed; for raw tables, where they are part of
            `read`.
        days: the span of days that was materialized, for tables with periods.
        materialized: the periods of that span that were replaced, neighbours joined.
        unchanged: those of these periods whose rows are the same as before; no reader is stale
            because of them.
        is_unchanged: whether the commit changed no row of the table.
        keeps_files: whether the commit left the files of the table, because it changed no row.
        content: the hashes of these periods; None for tables whose content is not compared.
        untouched: days of that span left as they were, because the input holds no row of them.
        held_back: periods of that span that were held back and left as they were, with the reason.
        touched: for tables without periods, the days of the rows that changed; None if unknown.
        changed: for rows that are valid until the next one, the days on which a changed row is
            valid, by the column that dates the rows.
        affected: the affected days of readers that look rows up by key, by the reader.
        conflicting_events: events of a table with keys that contradict a later one of the same key
            and time.
        rules: rows by broken rule, zeros included; a row may break several.
        rows: rows of this table that the commit added, or found there unchanged.
        carried: rows outside the span that moved to new files unchanged.
        bytes: bytes added.
        files: files added.
        seconds: seconds from the first read to just before the commit.
        audited_at: that moment, UTC.
        notes: what a person should know, e.g. new columns.
        assumed: how delivered files were read, where they do not say so themselves.
        provenance: run, code, contract and inputs.
        version: the version of the table that the commit created; known after it.
        by_period: the fates of the rows of each period, with `read`; not stored in the commit.
    """

    table: str
    mode: str
    read: int
    written: int
    quarantined: int = 0
    superseded: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    days: Days | None = None
    materialized: tuple[Days, ...] = ()
    unchanged: tuple[Days, ...] = ()
    is_unchanged: bool = False
    keeps_files: bool = False
    content: Content | None = field(default=None, repr=False)
    untouched: tuple[date, ...] = ()
    held_back: Mapping[date, str] = field(default_factory=dict)
    touched: tuple[Days, ...] | None = field(default=None, repr=False)
    changed: Mapping[str, tuple[Days, ...]] = field(default_factory=dict, repr=False)
    affected: Mapping[str, AffectedDays] = field(default_factory=dict, repr=False)
    conflicting_events: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    carried: int = 0
    bytes: int = 0
    files: int = 0
    seconds: float = 0.0
    audited_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    notes: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict, repr=False)
    provenance: Provenance = field(default_factory=Provenance)
    version: int | None = None
    by_period: Mapping[date, Mapping[str, int]] = field(default_factory=dict, repr=False)

    @property
    def has_unchanged(self) -> bool:
        """Whether the table, or a period of it, was made again with the same content."""
        return self.is_unchanged or bool(self.unchanged)

    def describe_unchanged(self) -> str:
        """Returns which periods were made again with the same content."""
        return ", ".join(map(str, self.unchanged)) or "the whole table"

    @property
    def accounted_rows(self) -> int:
        """The sum of all fates; equal to `read`, or the commit stops."""
        return (
            self.written
            + self.quarantined
            + self.superseded
            + sum(self.filtered.values())
            + self.dead_letters
        )

    def check_balance(self) -> "Audit":
        """Returns this audit if every row that was read has exactly one fate.

        Raises:
            LawError: the sum of the fates is not the number of rows read, or one of them is below
                zero.
        """
        # A fate below zero would let rows that count twice hide rows that are lost.
        fates = self.count_fates()
        if self.accounted_rows == self.read and min(fates.values()) >= 0:
            return self
        place = f"{self.table} [{self.days}]" if self.days else self.table
        raise LawError(
            list_problems(
                f"{place}: {self.read:,} rows were read, but {self.accounted_rows:,} are "
                "accounted for. Nothing was published.",
                [f"{name} {count:,}" for name, count in fates.items()],
                "look for a join, a filter or an aggregation in the transform that drops or "
                "repeats rows without declaring it.",
            )
        )

    def count_fates(self) -> dict[str, int]:
        """Returns the rows by fate, zeros included."""
        named = {f"filtered: {name}": count for name, count in self.filtered.items()}
        fates = {
            "written": self.written,
            "quarantined": self.quarantined,
            "superseded": self.superseded,
            **named,
        }
        return fates | ({"dead letters": self.dead_letters} if self.dead_letters else {})

    def to_metadata(self) -> dict[str, Any]:
        """Returns the audit as JSON-able values, as a commit stores it."""
        # These two belong to the caller: the version is only known after the commit.
        stored = asdict(replace(self, by_period={}, version=None))
        del stored["by_period"], stored["version"]
        stored["days"] = [str(self.days.first), str(self.days.last)] if self.days else None
        stored["materialized"] = _ends(self.materialized)
        stored["unchanged"] = _ends(self.unchanged)
        stored["touched"] = None if self.touched is None else _ends(self.touched)
        stored["changed"] = {column: _ends(spans) for column, spans in self.changed.items()}
        stored["affected"] = {
            name: {
                "by": affected.by,
                "days": _ends(affected.days),
                "revision": _text(affected.revision),
            }
            for name, affected in self.affected.items()
        }
        stored["provenance"] = self.provenance.to_metadata()
        stored["untouched"] = [str(day) for day in self.untouched]
        stored["held_back"] = {str(day): reason for day, reason in self.held_back.items()}
        stored["audited_at"] = self.audited_at.isoformat()
        return stored

    @classmethod
    def from_metadata(cls, stored: Mapping[str, Any], version: int) -> "Audit":
        """Returns the audit that a commit stores, without the fields that are unknown here.

        Raises:
            ValueError: it is not an audit.
        """
        # A log is kept for years, so audits of other versions of the engine must be readable:
        # unknown fields are ignored, and fields that were not stored have their defaults.
        values = dict(stored)
        values["days"] = _span(values["days"]) if values.get("days") else None
        values["materialized"] = _spans(values.get("materialized", []))
        values["unchanged"] = _spans(values.get("unchanged", []))
        values["touched"] = _spans(values.get("touched"))
        # Values of another shape stay as they are, and the validator refuses them.
        changed = values.get("changed", {})
        values["changed"] = (
            {c: _spans(s) for c, s in changed.items()} if isinstance(changed, dict) else changed
        )
        affected = values.get("affected", {})
        if isinstance(affected, dict):
            affected = {reader: _affected_days(one) for reader, one in affected.items()}
        values["affected"] = affected
        if isinstance(values.get("provenance"), dict):
            values["provenance"] = _provenance(values["provenance"])
        return replace(_STORED.validate_python(values), version=version)


# Built once: a log is read audit by audit.
_STORED = TypeAdapter(Audit)


def _ends(spans: Iterable[Days]) -> list[list[str]]:
    return [[str(span.first), str(span.last)] for span in spans]


def _spans(stored: Any) -> Any:  # noqa: ANN401
    return [_span(ends) for ends in stored] if isinstance(stored, list) else stored


def _affected_days(stored: Any) -> Any:  # noqa: ANN401
    if not isinstance(stored, dict):
        return stored
    revision = _revision(stored.get("revision"))
    return {**stored, "days": _spans(stored.get("days")), "revision": revision}


def _provenance(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    inputs = stored.get("inputs", {})
    if isinstance(inputs, dict):
        inputs = {name: _revision(text) for name, text in inputs.items()}
    return {**stored, "inputs": inputs, "quarantine": _revision(stored.get("quarantine"))}


def _text(revision: Revision | None) -> str | None:
    return None if revision is None else str(revision)


def _revision(stored: Any) -> Any:  # noqa: ANN401
    """Returns a revision from its text; anything else is returned as it is, for the validator."""
    return parse_revision(stored) or stored


def _span(ends: Any) -> Any:  # noqa: ANN401
    """Returns a span from its two ends; anything else is returned as it is, for the validator."""
    is_pair = isinstance(ends, list) and len(ends) == 2  # noqa: PLR2004
    return {"first": ends[0], "last": ends[1]} if is_pair else ends


def sum_fates(audits: Iterable[Audit]) -> dict[str, int]:
    """Returns the sums of the fates of several commits, `read` first."""
    summed: dict[str, int] = {"read": 0}
    for audit in audits:
        for name, count in {"read": audit.read, **audit.count_fates()}.items():
            summed[name] = summed.get(name, 0) + count
    return summed


class RefusedCommitError(DataError):
    """The verdict was against a commit.

    Attributes:
        audit: the audit that the commit would have had.
        periods: the periods that must not be published, None for a table without any, each with its
            first reason.
    """

    def __init__(self, message: str, audit: Audit, periods: Mapping[date | None, str]) -> None:
        super().__init__(message)
        self.audit, self.periods = audit, periods
