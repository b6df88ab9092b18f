"""Tables that nothing declares any more: they are told, dropped and adopted."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from support.worlds import bring_up_to_date, catalog_of, in_state, world, write

from lakehouse.cli import commands
from lakehouse.environment import Environment
from lakehouse.tables import Contract, cast, raw, staged
from lakehouse.tables.catalog import Catalog


class Visit(Contract):
    """A visit."""

    id: str
    door: int

    class Table:
        max_quarantined = 0.9


def declare(raw_name: str, staged_name: str) -> Catalog:
    visits = raw(raw_name, "Visits.", columns=("id", "door"))

    def transform(rows: pl.LazyFrame) -> pl.LazyFrame:
        """Visits."""
        return cast(rows, door=pl.col("door").cast(pl.Int64, strict=False))

    transform.__name__ = staged_name
    table = staged(Visit)(transform)
    object.__setattr__(table, "parameters", (f"raw_{raw_name}",))
    return catalog_of(visits=visits, made=table)


def run(here: Environment, *arguments: str) -> Result:
    app = commands.App(lambda: here, lambda: None, None)
    return CliRunner().invoke(commands.cli, list(arguments), obj=app, catch_exceptions=False)


def states(here: Environment) -> dict[str, str]:
    rows = run(here, "sql", "SHOW TABLES", "--format", "csv")
    assert rows.exit_code == 0
    from lakehouse.observe.overview import list_tables  # noqa: PLC0415

    return {state.table: state.state for state in list_tables(here)}


@pytest.fixture
def renamed(tmp_path: Path) -> Environment:
    """A lake whose raw and staged table were renamed after a run; one row and one record are bad."""
    here = world(tmp_path, declare("visits", "visits"))
    write(here, "visits", "a.csv", "id,door\n1,1\n2,2\n3,x\nbroken\n")
    bring_up_to_date(here)
    return world(tmp_path, declare("entries", "entries"))


def test_what_nothing_declares_is_told_with_what_to_do(renamed):
    told = run(renamed, "tables")
    assert told.exit_code == 3
    found = states(renamed)
    assert [name for name, state in found.items() if state == "nothing declares it any more"] == [
        "raw/visits",
        "staged/visits",
        "quarantine/staged_visits",
    ]
    assert "Next: declare the table again; or `lakehouse drop <table>`" in told.stdout


def test_a_dropped_table_is_gone_with_its_quarantine(renamed):
    told = run(renamed, "drop", "staged/visits", "--yes")
    assert (told.exit_code, told.stdout.splitlines()[-1]) == (0, "staged/visits is gone.")
    assert "This drops 2 rows of staged/visits" in told.stdout
    assert renamed.list_orphans() == ["raw/visits"]
    assert not list(Path(renamed.lake.root, "staged").iterdir())


def test_a_dropped_table_that_rejected_nothing_leaves_no_folder(tmp_path):
    here = world(tmp_path, declare("visits", "visits"))
    write(here, "visits", "a.csv", "id,door\n1,1\n")
    bring_up_to_date(here)
    left = Path(here.lake.root, "quarantine", "staged_visits")
    left.mkdir(exist_ok=True)
    assert run(world(tmp_path, declare("entries", "entries")), "drop", "staged/visits", "--yes")
    assert not left.exists()


def test_nothing_is_dropped_without_consent(renamed):
    told = run(renamed, "drop", "staged/visits")
    assert (told.exit_code, "add --yes" in told.stderr) == (1, True)
    assert "staged/visits" in renamed.list_orphans()


def test_a_dropped_raw_table_leaves_no_open_dead_letters(renamed):
    assert run(renamed, "drop", "raw/visits", "--yes", "--by", "ann").exit_code == 0
    letters = in_state(renamed, "quarantine/dead_letters", "discarded")
    assert letters["_discard_reason"].to_list() == ["raw/visits was dropped"]


def test_an_adopted_raw_table_keeps_its_rows_and_dead_letters_once(renamed):
    told = run(renamed, "adopt", "raw/visits", "raw/entries", "--by", "ann")
    assert told.exit_code == 0
    folder = Path(renamed.landing.root)
    (folder / "visits").rename(folder / "entries")
    write(renamed, "entries", "b.csv", "id,door\n4,4\n")
    bring_up_to_date(renamed)
    assert renamed.lake.scan("raw/entries").collect()["id"].sort().to_list() == ["1", "2", "3", "4"]
    assert in_state(renamed, "quarantine/dead_letters")["table"].to_list() == ["raw/entries"]
    assert renamed.lake.scan("staged/entries").collect()["id"].sort().to_list() == ["1", "2", "4"]
    assert renamed.list_orphans() == ["staged/visits", "quarantine/staged_visits"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("drop", "raw/entries"), "raw/entries does not exist"),
        (("drop", "raw/../x"), "is not the name of a table"),
        (("drop", "quarantine/dead_letters"), "is declared, or belongs to a declared table"),
        (("adopt", "staged/visits", "staged/entries"), "only rows of a raw table are adopted"),
        (("adopt", "raw/visits", "raw/nothing"), "There is no table 'raw/nothing'"),
    ],
)
def test_what_cannot_be_dropped_or_adopted_is_refused(renamed, command, told):
    result = run(renamed, *command)
    assert (result.exit_code, told in result.stderr) == (1, True), result.stderr
    assert "Next: " in result.stderr


def test_rows_of_two_tables_are_not_mixed(renamed):
    write(renamed, "entries", "b.csv", "id,door\n4,4\n")
    bring_up_to_date(renamed)
    result = run(renamed, "adopt", "raw/visits", "raw/entries")
    assert (result.exit_code, "exists already" in result.stderr) == (1, True)


def test_a_table_in_order_needs_no_attention(tmp_path):
    here = world(tmp_path, declare("visits", "visits"))
    write(here, "visits", "a.csv", "id,door\n1,1\n")
    assert run(here, "tables").exit_code == 3
    bring_up_to_date(here)
    assert run(here, "tables").exit_code == 0
