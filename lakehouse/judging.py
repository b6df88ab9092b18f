"""Judge a transform's rows: split them by the contract, count every fate, and pass the verdict on a commit.

Belongs here: the lazy split into rows to write and rows to reject, the questions that one pass answers, and the account
made of the answers. Does not belong here: reading inputs (`make.py`) and writing (`publish.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from lakehouse.audit import Audit, Provenance, RefusedCommitError
from lakehouse.contract import facts
from lakehouse.errors import LawError, listed
from lakehouse.publish import Findings
from lakehouse.rules import BROKEN, Rule, broken, keeps_all, settled
from lakehouse.tables import LINEAGE, RECEIVED, WINDOW, DerivedTable
from lakehouse.windows import Days

_EXAMPLES = 5
_OK = "_ok"


@dataclass(frozen=True)
class Judged:
    """A transform's rows under their contract, lazily.

    Attributes:
        table: the table that they are for.
        rules: the rules that they are held to.
        valid: the rows to write; exactly the table's columns.
        rejected: the rows to quarantine: as received, with the rules that they broke and their origin.
        questions: aggregates to be answered in the same pass as the writes.
    """

    table: DerivedTable
    rules: tuple[Rule, ...]
    valid: pl.LazyFrame
    rejected: pl.LazyFrame
    questions: Mapping[str, pl.LazyFrame]


def judge(
    table: DerivedTable,
    rules: tuple[Rule, ...],
    rows: pl.LazyFrame,
    provenance: Provenance,
    keys: tuple[date, ...] | None = None,
) -> Judged:
    """Split a transform's rows, and ask what the account needs to know.

    Args:
        table: the table that they are for.
        rules: the rules that they are held to.
        rows: the transform's rows, inside the days that are made.
        provenance: run and contract, noted beside each rejected row.
        keys: the periods that may be written.
    """
    rules, verdicts = settled(rules)
    judged = rows.with_columns(verdicts).with_columns(keeps_all(rules).alias(_OK))
    kept, broke = judged.filter(pl.col(_OK)), judged.filter(~pl.col(_OK))
    latest = _latest(table, kept)
    rejected = broke.select(_rejected_columns(table, rules, rows.collect_schema(), provenance))
    ok = pl.col(_OK)
    questions = {
        "judged": judged.select(
            _stand_for(table, ok).alias("kept"),
            _stand_for(table, ~ok).alias("broke"),
            (ok & _outside(table, keys)).sum().alias("outside"),
            *((~ok & ~rule.holds).sum().alias(f"rule {n}") for n, rule in enumerate(rules)),
            *(() if table.is_aggregate else (_IDENTITY.alias("returned"),)),
        )
    }
    if _folds(table):
        questions["latest"] = latest.select(pl.len())
    if table_rules(table):
        questions["table"] = latest.select(holds.alias(name) for name, holds in table_rules(table).items())
    if table.partitions:
        day = table.partitions.start_of(pl.col(_day_column(table)))
        questions["by_day"] = judged.group_by(day.alias("day")).agg(
            _stand_for(table, pl.lit(True)).alias("judged"), _stand_for(table, ~ok).alias("quarantined")
        )
    return Judged(table, rules, latest.select(table.schema.names()), rejected, questions)


_IDENTITY = pl.struct(LINEAGE).hash().sum()


def arrived(table: DerivedTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Which rows of the first input stand in a frame, told without order: before and after a transform it is the same.

    Rows that keep their origin are told by it. Of aggregates it is told how many rows stand behind each period.
    """
    if not table.is_aggregate:
        return rows.select(_IDENTITY.alias("rows"))
    if table.partitions is None:
        return pl.LazyFrame({"rows": []})
    counts, is_input = facts(table.contract).counts, WINDOW in rows.collect_schema()
    day = pl.col(WINDOW if is_input else _day_column(table))
    number = pl.len() if is_input else pl.col(str(counts)).sum()
    return rows.group_by(day=table.partitions.start_of(day)).agg(rows=number.cast(pl.Int64)).filter(pl.col("rows") != 0)


def table_rules(table: DerivedTable) -> dict[str, pl.Expr]:
    """The aggregates that must be true of the rows to be published."""
    known = facts(table.contract)
    rules = dict(known.rules)
    if known.key and not _folds(table):
        rules[f"{', '.join(known.key)} is a key"] = pl.struct(known.key).n_unique() == pl.len()
    return rules


def _stand_for(table: DerivedTable, which: pl.Expr) -> pl.Expr:
    """How many rows of the first input some rows stand for."""
    counts = facts(table.contract).counts
    return pl.col(counts).cast(pl.Int64).filter(which).sum() if counts else _number(which)


def _number(which: pl.Expr) -> pl.Expr:
    return pl.len().cast(pl.Int64) if which.meta.is_literal() else which.sum().cast(pl.Int64)


def _folds(table: DerivedTable) -> bool:
    """Whether older versions of a key are superseded, as in every staged table that has one."""
    return bool(facts(table.contract).key) and table.name.startswith("staged/")


def _latest(table: DerivedTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The latest version of each key in a period: by declared sequence, then the delivery's time, then its origin."""
    if not _folds(table):
        return rows
    order = [*facts(table.contract).sequence, "_modified_at", *LINEAGE]
    return rows.sort(order).unique([*facts(table.contract).key, *period(table)], keep="last")


def period(table: DerivedTable) -> list[pl.Expr]:
    """The period of a row on its way: rows of two periods never meet, however many are made at once."""
    return [table.partitions.start_of(pl.col(WINDOW))] if table.partitions else []


def _day_column(table: DerivedTable) -> str:
    return str(facts(table.contract).window) if table.is_aggregate else WINDOW


def _outside(table: DerivedTable, keys: tuple[date, ...] | None) -> pl.Expr:
    """Whether a row carries a day that may not be written."""
    window = facts(table.contract).window
    if keys is None or window is None or table.partitions is None:
        return pl.lit(False)
    allowed = table.partitions.start_of(pl.col(window)).is_in(pl.Series(keys, dtype=pl.Date).implode())
    return ~(allowed if table.is_aggregate else allowed & (pl.col(window) == pl.col(WINDOW))).fill_null(False)


def _rejected_columns(
    table: DerivedTable, rules: tuple[Rule, ...], schema: pl.Schema, provenance: Provenance
) -> list[pl.Expr]:
    if table.is_aggregate:
        window = facts(table.contract).window
        row = [pl.col(name) for name in table.schema if name in schema]
        place = [pl.col(window).alias(WINDOW)] if window else []
    else:
        received = schema[RECEIVED]
        fields = [f.name for f in received.fields] if isinstance(received, pl.Struct) else []
        row = [pl.col(RECEIVED).struct.field(name) for name in fields]
        row += [pl.col(name) for name in LINEAGE]
        place = [pl.col(WINDOW)] if WINDOW in schema else []
    return [
        *row,
        *place,
        broken(rules),
        pl.lit(provenance.contract_version).alias("_contract_version"),
        pl.lit(provenance.run_id).alias("_run_id"),
        pl.lit(datetime.now(UTC)).dt.cast_time_unit("us").alias("_rejected_at"),
    ]


@dataclass(frozen=True)
class Account:
    """Makes the audit of one commit from what the pass found; refuses to publish what must not be published.

    Attributes:
        judged: the rows and their questions.
        days: the span of days that is made.
        made: the periods of it that are replaced, neighbours joined.
        untouched: days of it that the input does not hold.
        provenance: run, code, contract and inputs.
    """

    judged: Judged
    days: Days | None
    made: tuple[Days, ...]
    untouched: tuple[date, ...]
    provenance: Provenance

    def __call__(self, findings: Findings) -> Audit:
        """The audit.

        Raises:
            LawError: what was written is not what was judged, or a row would land outside its days.
            DataError: too many rows broke the contract, or a rule of the table does not hold.
        """
        table, said = self.judged.table, findings.answers["judged"]
        counts = {name: int(said[name].item() or 0) for name in said.columns}
        read = findings.number("read")
        distinct = findings.number("distinct") if table.distinct else read
        latest = findings.number("latest") if _folds(table) else counts["kept"]
        filtered = findings.answers["filtered"].row(0, named=True) if table.leave_out else {}
        audit = Audit(
            table=table.name,
            mode="replace",
            read=read,
            written=latest,
            quarantined=counts["broke"],
            superseded=(read - distinct) + (counts["kept"] - latest),
            filtered={name: int(count or 0) for name, count in filtered.items()},
            days=self.days,
            made=self.made,
            untouched=self.untouched,
            rules={rule.name: counts[f"rule {n}"] for n, rule in enumerate(self.judged.rules)},
            provenance=self.provenance,
            by_day=_by_day(findings),
        ).balanced()
        self._prove_writes(findings, audit, counts["outside"])
        self._verdict(audit, findings)
        return audit

    def _prove_writes(self, findings: Findings, audit: Audit, outside: int) -> None:
        table = self.judged.table
        if outside:
            raise LawError(
                f"{table.name} [{self.days}]: {outside:,} rows carry a day outside the days that are made. Nothing was "
                "published.\nNext: make the transform keep the day that its first input gives a row."
            )
        passed, said = findings.answers["passed"], findings.answers["judged"]
        returned = findings.answers["returned"] if table.is_aggregate else said.select("returned")
        if set(passed.rows()) != set(returned.rows()):
            raise LawError(
                f"{table.name} [{self.days}]: the transform returned as many rows as it was given, but not the same "
                "ones. Nothing was published.\nNext: look for rows that are dropped while others are repeated, or that "
                "are counted for another day."
            )
        if table.is_aggregate:
            return
        for kind, judged, written in (
            ("written", audit.written, findings.rows),
            ("rejected", audit.quarantined, findings.rejected),
        ):
            if judged != written:
                raise LawError(
                    f"{table.name} [{self.days}]: {judged:,} rows were to be {kind}, {written:,} are in the files."
                )

    def _verdict(self, audit: Audit, findings: Findings) -> None:
        table = self.judged.table
        failed = [name for name in table_rules(table) if findings.answers["table"][name].item() is not True]
        problems = [f"the table rule {name!r} does not hold" for name in failed]
        allowed = facts(table.contract).max_quarantined
        strays, whole = findings.answers["strays"].row(0)
        if audit.quarantined - strays > allowed * (audit.read - strays) or strays > allowed * whole:
            problems.append(
                f"{audit.quarantined:,} of {audit.read:,} rows break the contract "
                f"({audit.quarantined / audit.read:.1%}; {allowed:.1%} are allowed)"
            )
            problems += [f"{count:,} x {rule}" for rule, count in audit.rules.items() if count]
            examples = self.judged.rejected.head(_EXAMPLES).collect(engine="streaming")
            problems += [f"for example {_example(row)}" for row in examples.iter_rows(named=True)]
        if problems:
            where = f" [{audit.days}]" if audit.days else ""
            raise RefusedCommitError(
                listed(
                    f"{table.name}{where}: refused, nothing was published; the table is as it was.",
                    problems,
                    "mend the source or the transform and run these days again; or change the contract on purpose.",
                ),
                audit,
            )


def _by_day(findings: Findings) -> dict[date, dict[str, int]]:
    if "by_day" not in findings.answers:
        return {}
    rows = findings.answers["by_day"].filter(pl.col("day").is_not_null()).sort("day")
    return {
        row["day"]: {"judged": row["judged"], "quarantined": row["quarantined"] or 0}
        for row in rows.iter_rows(named=True)
    }


def _example(row: Mapping[str, object]) -> str:
    """Where a rejected row is from, and why; never its values, which may be personal."""
    origin = f"{row['_source']}, record {row['_offset']}" if "_source" in row else f"the row of {row.get(WINDOW)}"
    return f"{origin}: {', '.join(row[BROKEN])}"  # type: ignore[arg-type]
