"""What `lakehouse demo` does: it lands what is news, and makes what is stale."""

from datetime import date
from pathlib import Path

import polars as pl
from support.worlds import catalog_of, world, write

from lakehouse.definitions import definitions
from lakehouse.orchestration.catch_up import catch_up
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, count_open_letters
from lakehouse.tables import Contract, FullDumps, cast, mart, raw, staged


class Visit(Contract):
    """A visit."""

    id: str
    on: date

    class Table:
        key = ("id",)
        sequence = ("on",)


@staged(Visit, mode="upsert", full_dumps=FullDumps(may_shrink=0.1))
def dumped(raw_visits: pl.LazyFrame) -> pl.LazyFrame:
    """Visits as the source dumps them."""
    return cast(raw_visits, on=pl.col("on").str.to_date("%Y-%m-%d", strict=False))


class Door(Contract):
    """A door."""

    door: str
    visits: pl.Int64

    class Table:
        key = ("door",)
        counts = "visits"


@mart(Door)
def doors(dumped: pl.LazyFrame) -> pl.LazyFrame:
    """Visits by door."""
    return dumped.group_by(door=pl.lit("north")).agg(visits=pl.len().cast(pl.Int64))


def test_a_problem_is_told_once_with_its_own_next_step(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    visits = raw("visits", "Visits.", columns=("id", "on"), full_dumps=True)
    here = world(tmp_path, catalog_of(raw_visits=visits, dumped=dumped, doors=doors))
    rows = "".join(f"{number},2024-01-01\n" for number in range(10))
    write(here, "visits", "1.csv", f"id,on\n{rows}")
    write(here, "visits", "2.csv", "id,on\n1,2024-01-02\n")
    [problem] = catch_up(here, definitions, tmp_path / "dagster", lambda _: None)
    assert "Nothing was published." in problem
    assert "declare FullDumps(accepted=('2024-01-02',))" in problem


def test_a_refused_file_that_was_taken_away_is_withdrawn(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    here = world(tmp_path)

    def demo() -> None:
        assert catch_up(here, definitions, tmp_path / "dagster", lambda _: None) == []

    broken = write(here, "invoice_lines", "broken.csv", "no,such,columns\n1,2,3\n")
    demo()
    assert count_open_letters(here.lake) == {"raw/invoice_lines": 1}
    broken.unlink()
    demo()
    assert here.lake.scan(DEAD_LETTERS).collect()["_state"].to_list() == ["withdrawn"]
    version = here.lake.version(DEAD_LETTERS)
    demo()
    assert here.lake.version(DEAD_LETTERS) == version
