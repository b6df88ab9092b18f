"""One folding of events into a table with keys: judged, spooled, folded part by part, and accounted for.

Belongs here: which standing rows and which older events the new ones are folded with, and the counts.
Does not belong here: the order of events (`fold.py`), which rows are new (`fresh.py`), publishing (`keyed.py`).
"""

import math
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from lakehouse import as_of
from lakehouse.account import Account
from lakehouse.audit import Audit, Provenance
from lakehouse.contract import polars_schema
from lakehouse.contract_version import version
from lakehouse.dumps import dumps_of, gone, prove_size
from lakehouse.fold import Shape, fold, follows, ties
from lakehouse.inputs import Inputs
from lakehouse.judging import Judged
from lakehouse.publish import Findings
from lakehouse.tables import LAST, LINEAGE, VALID, DerivedTable
from lakehouse.tombstones import DELETED
from lakehouse.transforming import Making, judge_rows

_EVENTS_AT_ONCE = 2_000_000


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
    ties: int = 0
    keys: list[pl.DataFrame] = field(default_factory=list)
    changed: dict[str, list[pl.DataFrame]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """Some of the keys: so many are folded at once as fit in memory."""

    number: int
    of: int
    key: tuple[str, ...]

    def cut(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """The rows of these keys."""
        mine = rows if self.of == 1 else rows.filter(pl.struct(self.key).hash() % self.of == self.number)
        return mine.collect(engine="streaming")


@dataclass(frozen=True)
class Folding:
    """One folding: of new rows into what stands, or of all rows into a new table.

    Attributes:
        making: what is made.
        everything: the inputs with all rows, pinned.
        spool: a folder for what does not fit in memory.
        standing: the rows that stand, tombstones among them; None when the table is folded anew.
    """

    making: Making
    everything: Inputs
    spool: Path
    standing: pl.LazyFrame | None = None

    @property
    def table(self) -> DerivedTable:
        """The table."""
        return self.making.table

    @cached_property
    def shape(self) -> Shape:
        """How its events are folded."""
        return Shape.of(self.table)

    @property
    def provenance(self) -> Provenance:
        """Run, code, contract and inputs."""
        table, read = self.table, self.everything
        return Provenance(self.making.run_id, table.code_version, version(table.contract), read.versions, ids=read.ids)

    def of(self, inputs: Inputs) -> Folded | None:
        """Fold the rows of some inputs; None when new rows are not enough: a dump came late, or very much did.

        Raises:
            RefusedCommitError: too many rows broke the contract.
            DataError: a dump is too small to be believed.
            LawError: the books do not balance.
        """
        started = time.monotonic()
        judged = judge_rows(self.making, inputs, self.provenance, self.spool)
        findings = self._spooled(judged)
        audit = Account(judged, None, None, (), self.provenance)(findings)
        dumps = self._dumps() if self.table.snapshot else None
        if dumps is not None and not dumps["is_next"].all():
            return None
        counts, parts = _Counts(), max(1, math.ceil(findings.rows / _EVENTS_AT_ONCE))
        for number in range(parts):
            if not self._fold_part(_Part(number, parts, self.shape.key), dumps, counts):
                return None
        audit = replace(
            audit,
            mode="replace" if self.standing is None else self.table.mode,
            written=counts.written,
            superseded=audit.superseded + audit.written - counts.written,
            ties=counts.ties,
            changed={column: as_of.joined(pl.concat(spans)) for column, spans in counts.changed.items()},
            seconds=time.monotonic() - started,
        )
        keys = None if self.standing is None else pl.concat(counts.keys)
        stands = pl.scan_parquet(self.spool / "stands-*.parquet", hive_partitioning=False)
        return Folded(stands, counts.height, keys, findings.rejects, audit)

    def _spooled(self, judged: Judged) -> Findings:
        """The judged rows in files, and what their account needs to know."""
        frames = {"valid": judged.valid, "rejected": judged.rejected}
        if self.table.snapshot:
            frames["broke"] = judged.broke.select(*self.shape.key, self._moment, "_source", "_modified_at")
        sinks = [
            rows.sink_parquet(self.spool / f"{name}.parquet", compression="lz4", lazy=True)
            for name, rows in frames.items()
        ]
        results = pl.collect_all([*sinks, *judged.questions.values()], engine="streaming")[len(sinks) :]
        answers = dict(zip(judged.questions, results, strict=True))
        valid, rejected = (self._spool(name).select(pl.len()).collect().item() for name in ("valid", "rejected"))
        return Findings(answers, valid, rejected, self._spool("rejected"))

    def _spool(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.spool / f"{name}.parquet")

    @property
    def _moment(self) -> str:
        """The column that tells when a dump was taken."""
        return self.shape.sequence[0]

    def _dumps(self) -> pl.DataFrame:
        """The dumps that are folded and the one before them; `is_next` where each comes after what stands.

        Raises:
            DataError: one is too small to be believed.
        """
        assert self.table.snapshot is not None  # noqa: S101
        named = [*self.shape.key, self._moment, "_source", "_modified_at"]
        valid, broke = (self._spool(name).select(named) for name in ("valid", "broke"))
        dumps = dumps_of(valid, broke, self.shape.key, self._moment).with_columns(is_next=pl.lit(True))
        if self.standing is not None:
            stood = pl.col(LAST).struct.field(self._moment).max()
            shown = {"rows": self._is_shown.sum(), "is_whole": pl.lit(True)}
            last = self.standing.select(stood.alias(self._moment), **shown).collect()
            dumps = dumps.with_columns(is_next=pl.col(self._moment) > last[self._moment][0])
            dumps = pl.concat([last.cast({"rows": dumps.schema["rows"]}), dumps], how="diagonal")
        prove_size(self.table.name, dumps, self._moment, self.table.snapshot)
        return dumps

    @property
    def _is_shown(self) -> pl.Expr:
        """True for a standing row of a key that is not deleted."""
        return pl.col(VALID[2]) if self.shape.mode == "history" else ~pl.col(DELETED)

    def _matched(self, part: _Part, events: pl.DataFrame) -> pl.DataFrame:
        """The rows that stand of the keys of some events; a dump speaks of all keys."""
        if self.standing is None:
            return pl.DataFrame(schema=self.table.stored_schema)
        if self.table.snapshot:
            return part.cut(self.standing)
        keys = events.select(part.key).unique().lazy()
        return self.standing.join(keys, on=part.key, how="semi").collect(engine="streaming")

    def _fold_part(self, part: _Part, dumps: pl.DataFrame | None, counts: _Counts) -> bool:
        """Fold some keys, and put what stands of them into a file; false where their events do not fit in memory."""
        key, origin = part.key, [*part.key, *LINEAGE]
        events = part.cut(self._spool("valid"))
        matched = self._matched(part, events)
        frames = self._with_all(events, matched)
        if frames is None:
            return False
        rows = [self._as_events(frame) for frame in frames]
        if dumps is not None and dumps.height:
            rows.append(self._as_events(self._gone(part, events, matched, dumps)))
        together = pl.concat(rows)
        stands = fold(together, self.shape).select(self.table.stored_schema.names())
        stands.write_parquet(self.spool / f"stands-{part.number}.parquet", compression="lz4")
        counts.height += stands.height
        counts.written += stands.join(events.select(origin).unique(), on=origin, how="semi").height
        counts.ties += ties(together, self.shape)
        if self.standing is not None:
            counts.keys.append(pl.concat([events.select(key), matched.select(key)]).unique())
            for column, spans in self._changed(matched, stands).items():
                counts.changed.setdefault(column, []).append(spans)
        return True

    def _with_all(self, events: pl.DataFrame, matched: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame] | None:
        """The events with all others of keys that are late, and the standing rows of the other keys.

        None when these are so many that they have to be folded in parts.
        """
        shape, key = self.shape, self.shape.key
        if matched.is_empty() or not shape.needs_all or self.table.snapshot:
            return events, matched
        seen = matched.select(*key, LAST).unique(key)
        late = events.join(seen, on=key).filter(~follows(shape.instant, pl.col(LAST))).select(key).unique()
        if late.is_empty():
            return events, matched
        everything = judge_rows(self.making, self.everything, self.provenance, self.spool).valid
        everything.join(late.lazy(), on=key, how="semi").sink_parquet(self.spool / "late.parquet", compression="lz4")
        if self._spool("late").select(pl.len()).collect().item() > _EVENTS_AT_ONCE:
            return None
        again = self._spool("late").collect()
        others = events.join(late, on=key, how="anti")
        return pl.concat([others, again]), matched.join(late, on=key, how="anti")

    def _as_events(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows as events: each column that an event has, null where they lack it."""
        schema = {**self.table.event_schema, **({LAST: self.table.stored_schema[LAST]} if self.shape.needs_all else {})}
        lacking = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in rows.columns]
        return rows.with_columns(lacking).select(list(schema)).with_columns(pl.col(DELETED).fill_null(False))

    def _gone(self, part: _Part, events: pl.DataFrame, matched: pl.DataFrame, dumps: pl.DataFrame) -> pl.DataFrame:
        """The deletes of keys that a dump lacks; a row that broke the contract was there."""
        named = [*part.key, self._moment]
        broke = part.cut(self._spool("broke").select(named).drop_nulls())
        stood = matched.filter(self._is_shown).with_columns(pl.lit(dumps[self._moment][0]).alias(self._moment))
        present = pl.concat([events.select(named), broke, stood.select(named)])
        return gone(present, dumps, part.key, self._moment)

    def _changed(self, before: pl.DataFrame, after: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """When rows hold that are not as they were, for readers that read by date."""
        shape, columns = self.shape, as_of.columns_read(self.making.catalog, self.table)
        old, new = (self._as_events(rows).lazy() for rows in (before, after))
        if shape.mode == "history":
            spans = as_of.differing(old, new, shape.sequence[0], shape.key, shape.values)
            return {column: spans.collect() for column in columns if column == VALID[0]}
        names = [*polars_schema(self.table.contract), DELETED]
        old, new = old.select(names), new.select(names)
        return {column: as_of.changes(old, new, old.clear(), column, shape.key).collect() for column in columns}
