"""The account of a commit, made of what the pass found, and the verdict on each period of it.

A period whose rows break the contract too often, or of which a table rule does not hold, is held back: it is not
published, and its reasons are told. The other periods of the same run are published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice

import polars as pl

from lakehouse.calendar import Days
from lakehouse.errors import LawError, list_problems
from lakehouse.publish.audit import Audit, Provenance, RefusedCommitError
from lakehouse.publish.publish import PassResult
from lakehouse.quarantine.states import RELEASED, is_in
from lakehouse.system_columns import BROKEN, WINDOW
from lakehouse.transform.row_verdicts import PERIOD, JudgedRows, keeps_latest_version

_EXAMPLES = 5
_PERIODS_TOLD = 10

Period = date | None
"""The first day of a period; None for all of a table without periods."""


@dataclass(frozen=True)
class Account:
    """Makes the audit of one commit from what the pass found; refuses to publish what must not be published.

    Attributes:
        judged: the rows and their questions.
        days: the span of days that is made.
        keys: the periods of it that are replaced; None for a table without periods.
        untouched: days of it that the input does not hold.
        provenance: run, code, contract and inputs.
        stray: the period with which rows without a day are judged; they come from all days.
        whole: how many rows the first input has, of all days.
        held: the periods that an earlier verdict held back, with the reason.
    """

    judged: JudgedRows
    days: Days | None
    keys: tuple[date, ...] | None
    untouched: tuple[date, ...]
    provenance: Provenance
    stray: Period = None
    whole: int = 0
    held: Mapping[date, str] | None = None

    def __call__(self, findings: PassResult) -> Audit:
        """The audit.

        Raises:
            LawError: what was written is not what was judged, or a row would land outside its days.
            RefusedCommitError: in some periods too many rows broke the contract, or a rule of the table does not hold.
        """
        table, periods, rules = (
            self.judged.table,
            self._periods(findings),
            self._broken_rules(findings),
        )
        of = {
            name: sum(fates[name] for fates in periods.values()) for name in _names(table.leave_out)
        }
        audit = Audit(
            table=table.name,
            mode="replace",
            read=of["read"],
            written=of["written"],
            quarantined=of["quarantined"],
            superseded=of["superseded"],
            filtered={name: of[f"filtered: {name}"] for name in table.leave_out},
            days=self.days,
            materialized=tuple(table.partitions.join_to_spans(self.keys))
            if table.partitions and self.keys
            else (),
            untouched=self.untouched,
            held_back=self.held or {},
            rules={
                rule.name: sum(counts.get(rule.name, 0) for counts in rules.values())
                for rule in self.judged.rules
            },
            provenance=self.provenance,
            by_period={
                day: fates for day, fates in sorted(periods.items(), key=str) if day is not None
            },
        ).check_balance()
        self._prove_writes(findings, audit)
        if refused := self._refused(periods, findings):
            raise self._refusal(audit, refused, rules, findings)
        return audit

    def _periods(self, findings: PassResult) -> dict[Period, dict[str, int]]:
        """The fates of the rows of each period."""
        table = self.judged.table
        judged, distinct = _answers(findings, "judged"), _answers(findings, "distinct")
        read = _answers(findings, "read") if table.distinct else distinct
        latest = _answers(findings, "latest") if keeps_latest_version(table) else None
        periods: dict[Period, dict[str, int]] = {}
        for period in {*read, *judged}:
            counts = judged.get(period, {})
            kept = counts.get("rows", 0) - counts.get("broke", 0)
            written = kept if latest is None else _rows(latest, period)
            left_out = distinct.get(period, {})
            periods[period] = {
                "read": _rows(read, period),
                "written": written,
                "quarantined": counts.get("broke", 0),
                "superseded": _rows(read, period) - _rows(distinct, period) + kept - written,
                **{
                    f"filtered: {name}": left_out.get(f"filtered: {name}", 0)
                    for name in table.leave_out
                },
            }
        return periods

    def _broken_rules(self, findings: PassResult) -> dict[Period, dict[str, int]]:
        """Rows by broken rule, as the rejected rows tell it, for each period that has some."""
        if not findings.rejected:
            return {}
        counted = _rejected(findings).select(self._period.alias(PERIOD), BROKEN).explode(BROKEN)
        counts: dict[Period, dict[str, int]] = {}
        for period, rule, number in (
            counted.group_by(PERIOD, BROKEN).len().collect(engine="streaming").iter_rows()
        ):
            counts.setdefault(period, {})[rule] = number
        return counts

    @property
    def _period(self) -> pl.Expr:
        """The period of a rejected row."""
        calendar = self.judged.table.partitions
        return (
            pl.lit(None, dtype=pl.Date)
            if calendar is None
            else calendar.period_start_expr(pl.col(WINDOW))
        )

    def _prove_writes(self, findings: PassResult, audit: Audit) -> None:
        table, judged = self.judged.table, _answers(findings, "judged")
        strange = [
            counts
            for period, counts in judged.items()
            if self.keys is not None and period not in self.keys
        ]
        outside = sum(int(counts["outside"]) for counts in judged.values())
        outside += sum(int(counts["rows"] - counts["broke"]) for counts in strange)
        if outside:
            raise LawError(
                f"{table.name} [{self.days}]: {outside:,} rows carry a day outside the days that are made. Nothing was "
                "published.\nNext: make the transform keep the day that its first input gives a row."
            )
        passed, returned = ("passed", "returned") if table.is_aggregate else ("distinct", "judged")
        if _arrived(findings, passed) != _arrived(findings, returned):
            raise LawError(
                f"{table.name} [{self.days}]: the transform returned as many rows as it was given, but not the same "
                "ones. Nothing was published.\nNext: look for rows that are dropped while others are repeated, or that "
                "are counted for another day."
            )
        kept, shut = audit.written, audit.quarantined
        if table.is_aggregate:
            kept, shut = (
                sum(int(counts[kind]) for counts in judged.values()) for kind in ("kept", "shut")
            )
        rejected = _rejected_count(findings)
        for kind, wanted, written in (
            ("written", kept, findings.rows),
            ("rejected", shut, rejected),
        ):
            if wanted != written:
                raise LawError(
                    f"{table.name} [{self.days}]: {wanted:,} rows were to be {kind}, {written:,} are in the files."
                )

    def _refused(
        self, periods: Mapping[Period, Mapping[str, int]], findings: PassResult
    ) -> dict[Period, list[str]]:
        """The periods that must not be published, with every reason."""
        strays = {
            period: counts.get("strays", 0)
            for period, counts in _answers(findings, "distinct").items()
        }
        rules = _answers(findings, "table")
        refused: dict[Period, list[str]] = {}
        for period, fates in sorted(periods.items(), key=str):
            failed = [name for name, holds in rules.get(period, {}).items() if holds is not True]
            problems = [f"the table rule {name!r} does not hold" for name in failed]
            problems += self._too_many(fates, strays.get(period, 0))
            if problems:
                refused[period] = problems
        return refused

    def _too_many(self, fates: Mapping[str, int], strays: int) -> list[str]:
        """Why the rejected rows of a period are too many; empty when they are not."""
        allowed, broke, read = (
            self.judged.table.properties.max_quarantined,
            fates["quarantined"],
            fates["read"],
        )
        if broke - strays <= allowed * (read - strays) and strays <= allowed * self.whole:
            return []
        share = f"{broke / read:.1%}" if read else "all"
        return [
            f"{broke:,} of {read:,} rows break the contract ({share}; {allowed:.1%} are allowed)"
        ]

    def _refusal(
        self,
        audit: Audit,
        refused: Mapping[Period, list[str]],
        rules: Mapping[Period, Mapping[str, int]],
        findings: PassResult,
    ) -> RefusedCommitError:
        """What is refused and why, with examples of the rows that broke the contract."""
        table, several = self.judged.table, len(refused) > 1
        told: list[str] = []
        for period, problems in islice(refused.items(), _PERIODS_TOLD):
            lines = [
                *problems,
                *(f"{count:,} x {name}" for name, count in sorted(rules.get(period, {}).items())),
            ]
            told += [f"{period}: {line}" for line in lines] if several else lines
        if len(refused) > _PERIODS_TOLD:
            told.append(f"and {len(refused) - _PERIODS_TOLD:,} more periods")
        told += [f"for example {_example(row)}" for row in self._examples(refused, findings)]
        where = (
            f" [{next(iter(refused)) if len(refused) == 1 else audit.days}]" if audit.days else ""
        )
        message = list_problems(
            f"{table.name}{where}: refused, nothing of it was published; the table is as it was there.",
            told,
            "mend the source or the transform and run these days again; or change the contract on purpose.",
        )
        return RefusedCommitError(
            message, audit, {period: problems[0] for period, problems in refused.items()}
        )

    def _examples(
        self, refused: Mapping[Period, list[str]], findings: PassResult
    ) -> list[dict[str, object]]:
        """A few rejected rows of the refused periods."""
        if not findings.rejected:
            return []
        which = self._period.is_in(
            pl.Series(list(refused), dtype=pl.Date).implode(), nulls_equal=True
        )
        return (
            _rejected(findings).filter(which).head(_EXAMPLES).collect(engine="streaming").to_dicts()
        )


def _rejected(findings: PassResult) -> pl.LazyFrame:
    """The rows that were rejected now; those that were released stand beside them in quarantine."""
    return findings.rejects.filter(~is_in(RELEASED))


def _rejected_count(findings: PassResult) -> int:
    if not findings.rejected:
        return 0
    return int(_rejected(findings).select(pl.len()).collect(engine="streaming").item())


def _names(left_out: Mapping[str, pl.Expr]) -> list[str]:
    return [
        "read",
        "written",
        "quarantined",
        "superseded",
        *(f"filtered: {name}" for name in left_out),
    ]


def _answers(findings: PassResult, question: str) -> dict[Period, dict[str, int]]:
    """The answers to a question, by period."""
    if question not in findings.answers:
        return {}
    rows = findings.answers[question].iter_rows(named=True)
    return {
        row[PERIOD]: {name: value or 0 for name, value in row.items() if name != PERIOD}
        for row in rows
    }


def _rows(answers: Mapping[Period, Mapping[str, int]], period: Period) -> int:
    """The number of rows of a period; a period without any has no answer."""
    return int(answers.get(period, {}).get("rows", 0))


def _arrived(findings: PassResult, question: str) -> dict[Period, int]:
    """What tells the rows that stand in a frame, by period; periods without any are left out."""
    told = {period: answer["arrived"] for period, answer in _answers(findings, question).items()}
    return {period: value for period, value in told.items() if value}


def _example(row: Mapping[str, object]) -> str:
    """Where a rejected row is from, and why; never its values, which may be personal."""
    origin = (
        f"{row['_source']}, record {row['_offset']}"
        if "_source" in row
        else f"the row of {row.get(WINDOW)}"
    )
    return f"{origin}: {', '.join(row[BROKEN])}"  # type: ignore[arg-type]
