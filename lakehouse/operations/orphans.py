"""Tables that nothing declares any more: dropping one, or keeping its rows under a new name.

A table becomes an orphan when its declaration is renamed or deleted. No run makes it again then.
"""

from dataclasses import dataclass

import polars as pl

from lakehouse.environment import Environment
from lakehouse.errors import SetupError, list_problems
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import Append, TableInfo
from lakehouse.quarantine.dead_letters import COUNTED_DEAD_LETTERS, DEAD_LETTERS, DeadLetters
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.quarantine.states import OPEN, fill_states, is_in
from lakehouse.quarantine.update_states import StateChange, update_states
from lakehouse.storage.lake import Lake, check_name, scan_visible_rows
from lakehouse.storage.remove_table import remove_table
from lakehouse.storage.revision import read_revision
from lakehouse.storage.visible_rows import count_visible_rows
from lakehouse.system_columns import EVENT_DATE, ORIGIN
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.reading import add_day, add_missing_columns
from lakehouse.tables.table_types import RawTable


@dataclass(frozen=True)
class Orphan:
    """A table that nothing declares, with what goes with it.

    Attributes:
        table: its name.
        quarantine: the table with its rejected rows; None where there is none.
        rows: its rows that readers see.
        open_dead_letters: of a raw table, its dead letters that nobody has settled.
    """

    table: str
    quarantine: str | None
    rows: int
    open_dead_letters: int

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that go, the one that the others belong to last."""
        return (_name_quarantine(self.table), self.table)


def find_orphan(here: Environment, name: str) -> Orphan:
    """Returns an orphan by its name.

    Raises:
        SetupError: there is no such table, or it is declared.
    """
    check_name(name)
    orphans = here.list_orphans()
    if name not in orphans:
        is_declared = name in here.lake.tables()
        reason = "is declared, or belongs to a declared table" if is_declared else "does not exist"
        known = f"name one of {', '.join(orphans)}" if orphans else "there is nothing to do"
        raise SetupError(
            f"{name} {reason}; only a table that nothing declares is dropped or adopted.\n"
            f"Next: {known}."
        )
    with here.lake.translate_errors():
        handle = here.lake.open_shared(name)
        quarantine = _name_quarantine(name)
        letters = DeadLetters(here.lake, name).rows() if name.startswith("raw/") else None
        return Orphan(
            name,
            quarantine if quarantine in orphans else None,
            0 if handle is None else count_visible_rows(handle),
            0 if letters is None else _count_open(letters),
        )


def drop_orphan(here: Environment, orphan: Orphan, who: str) -> None:
    """Deletes a table that nothing declares, with its quarantine; discards its dead letters.

    Raises:
        BusyError: other writers kept being faster, or the store does not answer.
    """
    if orphan.open_dead_letters:
        # The discard wants a declaration, which is what this table lacks.
        catalog = Catalog({orphan.table: _declare_alike(orphan.table)})
        reason = f"{orphan.table} was dropped"
        every = Choice(is_all=True)
        discard(here.lake, catalog, orphan.table, every, reason=reason, who=who)
    # Its quarantine as well where that is no table: a folder is made before the first row of it.
    # The table itself last: as long as it is there, a drop that was killed can be called again.
    for table in orphan.tables:
        remove_table(here.lake, table)


def adopt_orphan(here: Environment, orphan: Orphan, name: str, who: str) -> Audit:
    """Publishes the rows of a raw table that nothing declares as those of a declared one.

    Its dead letters go with it. The orphan is dropped afterwards. A call that was killed may be
    repeated; if the rows were published by then, the orphan is left to be dropped.

    Returns:
        The audit of the commit.

    Raises:
        SetupError: the two tables do not fit.
        BusyError: another writer was faster, or the store does not answer.
    """
    new = _check_adoption(here, orphan, name)
    with here.lake.translate_errors():
        _rename_dead_letters(here.lake, orphan.table, name, who)
        audit = _publish_rows(here.lake, orphan, new, who)
    drop_orphan(here, orphan, who)
    return audit


def _check_adoption(here: Environment, orphan: Orphan, name: str) -> RawTable:
    new = here.catalog[name]
    if not (isinstance(new, RawTable) and orphan.table.startswith("raw/")):
        raise SetupError(
            f"{orphan.table} cannot become {name}: only rows of a raw table are adopted, by a "
            "raw table; all others are made from these.\n"
            f"Next: run `lakehouse demo`, which makes {name}; then `lakehouse drop {orphan.table}`."
        )
    if here.lake.open_shared(name) is not None:
        raise SetupError(
            f"{name} exists already, and rows of two tables are not mixed.\n"
            f"Next: if it has all rows of {orphan.table}, `lakehouse drop {orphan.table}`; "
            f"else move the folder of {name} away, and adopt before the next run."
        )
    columns = here.lake.scan(orphan.table).collect_schema()
    missing = [column for column in new.required if column not in columns]
    other = [c for c, t in new.columns.items() if c in columns and columns[c] != t]
    problems = [f"it has no column {column!r}" for column in missing]
    problems += [f"{c!r} is {columns[c]}, declared {new.columns[c]}" for c in other]
    if problems:
        headline = f"{orphan.table} cannot become {name}."
        next_step = "declare the columns as they are stored, or land the files again."
        raise SetupError(list_problems(headline, problems, next_step))
    return new


def _name_quarantine(table: str) -> str:
    return f"quarantine/{table.replace('/', '_')}"


def _declare_alike(name: str) -> RawTable:
    return RawTable(name=name, description="", columns={})


def _rename_dead_letters(lake: Lake, old: str, new: str, who: str) -> None:
    handle = lake.open_shared(DEAD_LETTERS)
    if handle is None:
        return
    rows = fill_states(scan_visible_rows(handle))
    is_of_old = pl.col("table") == old
    table = pl.when(is_of_old).then(pl.lit(new)).otherwise("table").alias("table")
    renamed = rows.with_columns(table)
    update_states(
        lake, StateChange(DEAD_LETTERS, read_revision(handle), rows, is_of_old, renamed), who
    )


def _publish_rows(lake: Lake, orphan: Orphan, new: RawTable, who: str) -> Audit:
    # By the new declaration: the day of the old one may be another.
    rows = add_day(add_missing_columns(lake.scan(orphan.table), new), new)
    # What was delivered may be personal, so the log gets no bounds of it.
    hidden = frozenset(rows.collect_schema().names()) - {*ORIGIN, EVENT_DATE}
    request = Append(
        new.name,
        rows,
        base=None,
        split_by="_batch_id",
        info=TableInfo(description=new.description, hidden=hidden),
        # The old table has counted them, so that no later landing does.
        transaction_ids={COUNTED_DEAD_LETTERS: DeadLetters(lake, new.name).count()},
    )

    def account(found: PassResult) -> Audit:
        return Audit(
            new.name,
            "append",
            read=orphan.rows,
            written=found.rows,
            notes=(f"rows of {orphan.table}, adopted",),
            provenance=Provenance(f"adopted by {who}"),
        ).check_balance()

    return publish(lake, request, account)


def _count_open(letters: pl.LazyFrame) -> int:
    return int(letters.filter(is_in(OPEN)).select(pl.len()).collect().item())
