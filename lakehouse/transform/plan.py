"""The plan of one make: which revisions are read, what is replaced, and on which base.

Belongs here: every look at a log or at a latest version that a make takes. A plan is a value:
whatever runs it reads the same rows, however the tables change meanwhile.
Does not belong here: opening the inputs (`inputs.py`), and doing what is planned (`make.py`,
`keyed/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import polars as pl
from deltalake import DeltaTable

from lakehouse.calendar import Days
from lakehouse.errors import DataError
from lakehouse.expressions import differs_from_previous
from lakehouse.lineage.empty_periods import (
    AskedPeriods,
    find_intentionally_empty,
    is_unmodified,
)
from lakehouse.publish.audit import Provenance
from lakehouse.quarantine.states import Attempt
from lakehouse.storage.lake import Lake, list_data_files, scan_visible_rows
from lakehouse.storage.revision import Revision, log_position, read_revision
from lakehouse.system_columns import EVENT_DATE, WINDOW
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.day_filter import find_day_filter
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.table_types import DerivedTable, list_series_columns
from lakehouse.transform.inputs import PinnedInput
from lakehouse.transform.keyed.new_rows import NewRows, find_new_rows
from lakehouse.transform.limits import MakeLimits
from lakehouse.transform.scope import Scope


@dataclass(frozen=True)
class MakeRequest:
    """A request to make a table: which days, for whom and when.

    Attributes:
        table: the table.
        days: the days that are asked for; None for all of them.
        run_id: who asks; stored in the commit.
        now: the time that counts as the present; it decides which days exist.
        is_replay: whether quarantined rows are given another try on purpose.
        limits: how much is held in memory.
    """

    table: DerivedTable
    days: Days | None = None
    run_id: str = "local"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_replay: bool = False
    limits: MakeLimits = field(default_factory=MakeLimits)


@dataclass(frozen=True)
class MakePlan:
    """What one make reads and replaces.

    Attributes:
        request: what was asked for.
        inputs: the inputs at the revisions that are read, the one that is accounted for first.
        scope: the periods that are replaced; the whole table where it has no periods.
        base: the revision of the table on which the commit is based, None where there is no table;
            a later commit of another writer makes it fail.
        quarantine_base: the same for its quarantine.
        new_rows: the new rows of the first input, where a table with keys is brought up to date by
            these alone; None where it is made from all rows.
        superseded: key and origin of rows that break the contract and do not count as rejected,
            because a newer row has superseded them; None where that is not known yet.
    """

    request: MakeRequest
    inputs: tuple[PinnedInput, ...]
    scope: Scope
    base: Revision | None = None
    quarantine_base: Revision | None = None
    new_rows: NewRows | None = None
    superseded: pl.DataFrame | None = field(default=None, compare=False)

    @property
    def table(self) -> DerivedTable:
        """The table that is made."""
        return self.request.table

    @property
    def keyed_table(self) -> KeyedTable:
        """The table, where it is a keyed one."""
        assert isinstance(self.table, KeyedTable)  # noqa: S101
        return self.table

    @property
    def limits(self) -> MakeLimits:
        """How much is held in memory."""
        return self.request.limits

    @property
    def provenance(self) -> Provenance:
        """Run, code, contract and inputs, as the commit stores them."""
        return Provenance(
            self.request.run_id,
            self.table.code_version,
            self.table.contract_version,
            {one.source.name: one.revision for one in self.inputs},
        )

    @property
    def attempt(self) -> Attempt:
        """Who judges the rows, as quarantine stores it."""
        made_by = self.provenance
        return Attempt(
            made_by.run_id,
            made_by.code_version,
            made_by.contract_version,
            self.request.is_replay,
            self.superseded,
        )

    def without(self, refused: Mapping[date | None, str]) -> "MakePlan | None":
        """Returns the plan for the periods that were not refused; None when no period is left."""
        rest = set(self.scope.periods or ()) - set(refused)
        held_back = {period: reason for period, reason in refused.items() if period is not None}
        return replace(self, scope=self.scope.subset(rest, held_back)) if rest else None


def plan_make(lake: Lake, catalog: Catalog, request: MakeRequest) -> MakePlan | None:
    """Returns what a make reads and replaces.

    Returns:
        None when the first input holds no row of these days, and is not empty there on purpose.

    Raises:
        DataError: the table has none of the days that are asked for.
    """
    table = request.table
    # The bases are read first: a commit to the table or its quarantine that lands while the inputs
    # are read makes this one fail. Read after them, it would be replaced by older rows.
    base, quarantine_base = (lake.revision(name) for name in (table.name, table.quarantine))
    known = table.partitions.days_until(request.now) if table.partitions else None
    wanted = None if known is None else _wanted_days(table, request.days, known)
    inputs = _pin_inputs(lake, catalog, table, wanted, known)
    if wanted is None or known is None:
        scope = _scope_of_whole_table(lake, table, inputs[0])
    else:
        scope = _scope_of_periods(lake, table, inputs[0], wanted, known, base=base)
    if scope is None:
        return None
    plan = MakePlan(request, inputs, scope, base, quarantine_base)
    # A replay judges all rows again, those that were rejected among them. Without a table there is
    # nothing to merge new rows into.
    if not isinstance(table, KeyedTable) or base is None or request.is_replay:
        return plan
    latest_commits = request.limits.latest_commits
    return replace(plan, new_rows=find_new_rows(lake, table, inputs[0], latest_commits))


def _wanted_days(table: DerivedTable, days: Days | None, known: Days) -> Days:
    assert table.partitions is not None  # noqa: S101
    calendar = table.partitions
    wanted = calendar.widen_to_periods(days or known).clip(calendar.widen_to_periods(known))
    if wanted is None:
        raise DataError(f"{table.name} has no days {days}.\nNext: name days within {known}.")
    return wanted


def _pin_inputs(
    lake: Lake, catalog: Catalog, table: DerivedTable, wanted: Days | None, known: Days | None
) -> tuple[PinnedInput, ...]:
    """Returns the inputs of a table at their latest revisions, referenced tables after the others.

    A table that is read in two ways is read at one revision.
    """
    pinned, revisions = [], dict[str, Revision | None]()
    for parameter, name in catalog.find_inputs(table).items():
        source = catalog[name]
        if name not in revisions:
            handle = lake.open_shared(name)
            revisions[name] = None if handle is None else read_revision(handle)
        is_first = parameter == table.parameters[0]
        is_reference = parameter not in table.parameters
        cut = None
        if wanted is not None and known is not None and not is_reference:
            cut = find_day_filter(source, table.lookback, wanted, known, first=is_first)
        as_of, lookup = table.as_of.get(parameter), {}
        if as_of is not None and as_of.names:
            lookup = dict(zip(list_series_columns(source, as_of.column), as_of.names, strict=True))
        pinned.append(
            PinnedInput(
                parameter,
                source,
                revisions[name],
                cut=cut,
                lookup=lookup,
                is_first=is_first,
                is_reference=is_reference,
            )
        )
    return tuple(pinned)


def _scope_of_whole_table(lake: Lake, table: DerivedTable, first: PinnedInput) -> Scope | None:
    # An input that somebody emptied by hand erases nothing: only the engine's own commit does.
    has_rows = not first.scan(lake).head(1).collect().is_empty()
    is_empty_on_purpose = not has_rows and is_unmodified(
        lake, first.source, until=log_position(first.revision)
    )
    return Scope(table) if has_rows or is_empty_on_purpose else None


def _scope_of_periods(
    lake: Lake,
    table: DerivedTable,
    first: PinnedInput,
    wanted: Days,
    known: Days,
    *,
    base: Revision | None,
) -> Scope | None:
    """Returns the periods for which the first input holds rows, or is empty on purpose."""
    assert table.partitions is not None  # noqa: S101
    # Most makes find rows of each period; only the others pay for a look at the input's log.
    found = _find_periods(table, first.scan(lake))
    if not found.issuperset(table.partitions.period_keys(wanted)):
        found |= find_intentionally_empty(
            lake,
            AskedPeriods(table, first.source, wanted, known, filled=found),
            until=log_position(first.revision),
        )
    periods = tuple(sorted(period for period in found if period in wanted))
    if not periods:
        return None
    # Only raw rows can be undated: a contract requires the day of all others. They are judged with
    # the table's first period, whose verdict needs the size of the whole input.
    has_undated = known.first in wanted and first.source.day_column == EVENT_DATE
    return Scope(
        table,
        days=wanted,
        periods=periods,
        known=known,
        total_rows=_count_rows(first.open(lake)) if has_undated else None,
        untouched=_find_untouched(lake, table, wanted, periods, base),
    )


def _find_periods(table: DerivedTable, rows: pl.LazyFrame) -> set[date]:
    """Returns the periods of some rows of the first input."""
    assert table.partitions is not None  # noqa: S101
    period = table.partitions.period_start_expr(pl.col(WINDOW)).alias(WINDOW)
    # Rows lie in the order of delivery: a look at the row before drops most, at half the cost of
    # hashing each.
    changes = pl.col(WINDOW).is_null() | differs_from_previous([WINDOW])
    found = rows.select(period).filter(changes).unique().collect(engine="streaming")
    return set(found.to_series())


def _count_rows(handle: DeltaTable | None) -> int:
    """Returns how many rows a table has; another writer may have left that out of the log."""
    # From the log: counted beside the rows in one pass, it made the streaming engine keep every row
    # until the end, 5.2 GiB for 33 million rows instead of 0.27.
    if handle is None:
        return 0
    counts = list_data_files(handle)["num_records"]
    if counts.null_count():
        rows = scan_visible_rows(handle).select(pl.len())
        return int(rows.collect(engine="streaming").item())
    return int(counts.sum())


def _find_untouched(
    lake: Lake,
    table: DerivedTable,
    wanted: Days,
    periods: tuple[date, ...],
    base: Revision | None,
) -> tuple[date, ...]:
    """Returns the periods that only the table holds: an empty read erases nothing."""
    window = table.properties.date_column
    if base is None or window is None or table.partitions is None:
        return ()
    handle = lake.open_revision(table.name, base)
    rows = pl.scan_delta(handle).filter(pl.col(window).is_between(wanted.first, wanted.last))
    period = table.partitions.period_start_expr(pl.col(window))
    stored = rows.select(period.unique()).collect().to_series()
    return tuple(sorted(set(stored) - set(periods)))
