"""One folding of events into a table with keys: judged, spooled, folded part by part, and accounted for.

Belongs here: which standing rows and which older events the new ones are folded with, and the counts.
Does not belong here: the order of events (`fold.py`), which rows are new (`fresh.py`), publishing (`keyed.py`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from lakehouse.expressions import has_key
from lakehouse.lineage import dated_changes
from lakehouse.lineage.key_changes import find_affected_days
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult
from lakehouse.system_columns import DELETED, LAST, LINEAGE, VALID
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.accounting import Account
from lakehouse.transform.inputs import Inputs
from lakehouse.transform.keyed.apply_events import (
    EventSemantics,
    apply_events,
    count_conflicts,
    is_after,
)
from lakehouse.transform.keyed.full_dumps import (
    add_empty_dumps,
    check_dump_sizes,
    find_deletes,
    list_dumps,
)
from lakehouse.transform.keyed.tombstones import Watermark
from lakehouse.transform.lazy_pass import MakeContext, judge_rows
from lakehouse.transform.row_verdicts import JudgedRows
from lakehouse.transform.spill import split_by_key

_ROWS_AT_ONCE = 65_536
_SPOOLED: Mapping[str, Any] = {"compression": "lz4", "row_group_size": 16_384}


@dataclass(frozen=True)
class Folded:
    """What became of events.

    Attributes:
        stands: the rows that stand now of the touched keys, in the columns of the table.
        height: how many these are.
        keys: the touched keys, one row each; None when the table is folded anew.
        rejected: the rows that broke the contract.
        audit: the account of the rows that were read.
    """

    stands: pl.LazyFrame
    height: int
    keys: pl.DataFrame | None
    rejected: pl.LazyFrame
    audit: Audit


@dataclass
class _Counts:
    """What is added up over the parts."""

    height: int = 0
    written: int = 0
    conflicting_events: int = 0
    forgotten: int = 0
    keys: list[pl.DataFrame] = field(default_factory=list)
    changed: dict[str, list[pl.DataFrame]] = field(default_factory=dict)


@dataclass(frozen=True)
class Folding:
    """One folding: of new rows into what stands, or of all rows into a new table.

    Attributes:
        making: what is made.
        everything: the inputs with all rows, pinned.
        spool: a folder for what does not fit in memory.
        standing: the rows that stand, tombstones among them; None when the table is folded anew.
    """

    making: MakeContext
    everything: Inputs
    spool: Path
    standing: pl.LazyFrame | None = None

    @property
    def table(self) -> DerivedTable:
        """The table."""
        return self.making.table

    @cached_property
    def shape(self) -> EventSemantics:
        """How its events are folded."""
        return EventSemantics.of(self.table)

    @property
    def provenance(self) -> Provenance:
        """Run, code, contract and inputs."""
        table, read = self.table, self.everything
        return Provenance(
            self.making.run_id,
            table.code_version,
            table.contract_version,
            read.revisions,
        )

    def of(self, inputs: Inputs) -> Folded | None:
        """Fold the rows of some inputs; None when new rows are not enough, because a dump came late.

        Raises:
            RefusedCommitError: too many rows broke the contract.
            DataError: a dump is too small to be believed.
            LawError: the books do not balance.
        """
        started = time.monotonic()
        judged = judge_rows(self.making, inputs, self.provenance, self.spool)
        findings = self._spooled(judged)
        audit = Account(judged, None, None, (), self.provenance)(findings)
        dumps = self._dumps() if self.table.full_dumps else None
        if dumps is not None and not dumps["is_next"].all():
            return None
        counts = _Counts()
        for number, part in enumerate(
            split_by_key(self.spool / "parts", self.shape.key, self._frames(), _ROWS_AT_ONCE)
        ):
            self._fold_part(part, dumps, counts).write_parquet(
                self.spool / f"stands-{number}.parquet", compression="lz4"
            )
        spans = {column: pl.concat(several) for column, several in counts.changed.items()}
        audit = replace(
            audit,
            mode="replace" if self.standing is None else self.table.mode,
            written=counts.written,
            superseded=audit.superseded + audit.written - counts.written,
            conflicting_events=counts.conflicting_events,
            notes=(
                *audit.notes,
                *([f"tombstones removed: {counts.forgotten:,}"] if counts.forgotten else []),
            ),
            changed={
                column: dated_changes.join_spans(several) for column, several in spans.items()
            },
            affected=find_affected_days(
                self.making.lake, self.making.catalog, self.making.table, spans, self.making.now
            ),
            seconds=time.monotonic() - started,
        )
        keys = None if self.standing is None else pl.concat(counts.keys)
        stands = pl.scan_parquet(self.spool / "stands-*.parquet", hive_partitioning=False)
        return Folded(stands, counts.height, keys, findings.rejects, audit)

    def _spooled(self, judged: JudgedRows) -> PassResult:
        """The judged rows in files, and what their account needs to know."""
        frames = {"valid": judged.valid, "rejected": judged.rejected}
        if self.table.full_dumps:
            frames["broke"] = judged.broke.select(
                *self.shape.key, self._moment, "_source", "_modified_at"
            )
        sinks = [
            rows.sink_parquet(self.spool / f"{name}.parquet", **_SPOOLED, lazy=True)
            for name, rows in frames.items()
        ]
        results = pl.collect_all([*sinks, *judged.questions.values()], engine="streaming")[
            len(sinks) :
        ]
        answers = dict(zip(judged.questions, results, strict=True))
        valid, rejected = (
            self._spool(name).select(pl.len()).collect().item() for name in ("valid", "rejected")
        )
        return PassResult(answers, valid, rejected, self._spool("rejected"))

    def _spool(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.spool / f"{name}.parquet")

    @property
    def _moment(self) -> str:
        """The column by which events are ordered first: of a dump, when it was taken."""
        return self.shape.sequence[0]

    def _dumps(self) -> pl.DataFrame:
        """The dumps that are folded and the one before them; `is_next` where each comes after what stands.

        Raises:
            DataError: one is too small to be believed.
        """
        assert self.table.full_dumps is not None  # noqa: S101
        named = [*self.shape.key, self._moment, "_source", "_modified_at"]
        valid, broke = (self._spool(name).select(named) for name in ("valid", "broke"))
        emptied = (
            self.table.full_dumps.emptied if self.standing is None else ()
        )  # what stands has been emptied
        dumps = list_dumps(valid, broke, self.shape.key, self._moment)
        dumps = add_empty_dumps(self.table.name, dumps, self._moment, emptied).with_columns(
            is_next=pl.lit(True)
        )
        if self.standing is not None:
            stood = pl.col(LAST).struct.field(self._moment).max()
            shown = {"rows": self._is_shown.sum(), "is_whole": pl.lit(True)}
            last = self.standing.select(stood.alias(self._moment), **shown).collect()
            before = last[self._moment][0]
            if before is not None:  # a table that stands without a row has seen no dump
                dumps = dumps.with_columns(is_next=pl.col(self._moment) > before)
                dumps = pl.concat(
                    [last.cast({"rows": dumps.schema["rows"]}), dumps], how="diagonal"
                )
        check_dump_sizes(self.table.name, dumps, self._moment, self.table.full_dumps)
        return dumps

    @property
    def _is_shown(self) -> pl.Expr:
        """True for a standing row of a key that is not deleted."""
        return pl.col(VALID[2]) if self.shape.mode == "history" else ~pl.col(DELETED)

    @property
    def _is_latest(self) -> pl.Expr:
        """True for the latest standing row of a key."""
        return pl.col(VALID[1]).is_null() if self.shape.mode == "history" else pl.lit(True)

    @cached_property
    def _watermark(self) -> Watermark | None:
        """Behind what tombstones go; None where all are kept."""
        kept, rows = (
            self.table.tombstone_retention,
            self._spool("valid") if self.standing is None else self.standing,
        )
        return None if kept is None else Watermark.of(rows, self._moment, kept)

    def _without_old(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows without tombstones that go."""
        return rows if self._watermark is None else rows.filter(~self._watermark.is_old_tombstone)

    def _frames(self) -> Mapping[str, pl.LazyFrame]:
        """What is folded, in files: new events, all events of late keys, and the rows that stand of all these keys."""
        key, events = list(self.shape.key), self._spool("valid")
        frames = {
            "events": events,
            "older": events.clear(),
            "matched": pl.LazyFrame(schema=self.table.stored_schema),
        }
        if self.table.full_dumps:
            frames["broke"] = self._spool("broke").select(*key, self._moment).drop_nulls()
        if self.standing is None:
            return frames
        matched = self.standing  # a dump speaks of all keys
        if not self.table.full_dumps:
            is_asked = has_key(_keys(events, key))
            matched = matched.filter(
                is_asked | self._watermark.is_old_tombstone if self._watermark else is_asked
            )
        frames["matched"] = self._into_spool("matched", matched)
        late = None if self.table.full_dumps else self._late(events, frames["matched"])
        if late is not None and not late.is_empty():
            everything = judge_rows(self.making, self.everything, self.provenance, self.spool).valid
            frames["older"] = self._into_spool("older", everything.filter(has_key(late)))
        return frames

    def _late(self, events: pl.LazyFrame, matched: pl.LazyFrame) -> pl.DataFrame | None:
        """The keys of which what stands is not enough to fold some events; None where it always is.

        Of a key that does not stand nothing was seen, or its tombstone went. Either is told by all of its rows.
        """
        key, late = list(self.shape.key), []
        if self.shape.needs_all:
            seen = matched.filter(self._is_latest).select(*key, LAST)
            late.append(
                events.join(seen, on=key).filter(~is_after(self.shape.instant, pl.col(LAST)))
            )
        if self._watermark is not None:
            late.append(events.filter(self._watermark.is_behind).join(matched, on=key, how="anti"))
        return _keys(pl.concat([rows.select(key) for rows in late]), key) if late else None

    def _into_spool(self, name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Rows in a file of their own."""
        rows.sink_parquet(self.spool / f"{name}.parquet", **_SPOOLED, engine="streaming")
        return self._spool(name)

    def _fold_part(
        self, part: Mapping[str, pl.DataFrame], dumps: pl.DataFrame | None, counts: _Counts
    ) -> pl.DataFrame:
        """Fold some keys: what stands of them then."""
        key, events, older, matched = self.shape.key, part["events"], part["older"], part["matched"]
        frames = [older, *(rows.join(older, on=key, how="anti") for rows in (events, matched))]
        rows = [self._as_events(frame) for frame in frames]
        if dumps is not None and dumps.height:
            rows.append(self._as_events(self._gone(part, dumps)))
        together = pl.concat(rows)
        folded = apply_events(together, self.shape).select(self.table.stored_schema.names())
        stands, stood = self._without_old(folded), self._without_old(matched)
        origin = [*key, *LINEAGE]
        counts.height += stands.height
        counts.written += stands.join(events, on=origin, how="semi").height
        counts.conflicting_events += count_conflicts(together, self.shape)
        counts.forgotten += matched.height - stood.height
        if self.standing is not None:
            counts.keys.append(pl.concat([events.select(key), matched.select(key)]).unique())
            for column, spans in self._changed(stood, stands).items():
                counts.changed.setdefault(column, []).append(spans)
        return stands

    def _as_events(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows as events: each column that an event has, null where they lack it."""
        schema = {
            **self.table.event_schema,
            **({LAST: self.table.stored_schema[LAST]} if self.shape.needs_all else {}),
        }
        lacking = [
            pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
            if name not in rows.columns
        ]
        return (
            rows.with_columns(lacking)
            .select(list(schema))
            .with_columns(pl.col(DELETED).fill_null(False))
        )

    def _gone(self, part: Mapping[str, pl.DataFrame], dumps: pl.DataFrame) -> pl.DataFrame:
        """The deletes of keys that a dump lacks; a row that broke the contract was there."""
        stood = (
            part["matched"]
            .filter(self._is_shown)
            .with_columns(
                pl.lit(dumps[self._moment][0], dumps.schema[self._moment]).alias(self._moment)
            )
        )
        named = [*self.shape.key, self._moment]
        present = pl.concat([rows.select(named) for rows in (part["events"], part["broke"], stood)])
        return find_deletes(present, dumps, self.shape.key, self._moment)

    def _changed(self, before: pl.DataFrame, after: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """When rows hold that are not as they were, for readers that read by date."""
        shape, columns = (
            self.shape,
            dated_changes.list_date_columns(self.making.catalog, self.table),
        )
        old, new = (self._as_events(rows).lazy() for rows in (before, after))
        if shape.mode == "history":
            spans = dated_changes.compare_versions(
                old, new, shape.sequence[0], shape.key, shape.values
            )
            return {column: spans.collect() for column in columns if column == VALID[0]}
        names = [*to_polars_schema(self.table.contract), DELETED]
        old, new = old.select(names), new.select(names)
        return {
            column: dated_changes.compare_rows(old, new, old.clear(), column, shape.key).collect()
            for column in columns
        }


def _keys(rows: pl.LazyFrame, key: list[str]) -> pl.DataFrame:
    """The keys of some rows, one row each."""
    return rows.select(key).unique().collect(engine="streaming")
