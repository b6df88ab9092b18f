"""What the state of a table shows besides what is stale: periods held back, and periods made by other code."""

from dataclasses import replace

import polars as pl
import pytest
from polars import col
from support.worlds import bring_up_to_date, world
from tills import by_day, june, lines, only, redo, rows, sell, take, typed, with_days, with_sales

from lakehouse.observe.overview import list_tables
from lakehouse.observe.table_notes import read_notes


@pytest.fixture
def poisoned(tmp_path):
    """Sales by day; the second of three days has too many rejects."""
    here = world(tmp_path, with_days(by_day))
    sell(here, "a", lines(3, 1, 2), lines(4, -1, -2, 3, first=20), lines(5, 4, first=30))
    bring_up_to_date(here)
    return here


def said(here, name):
    return str(read_notes(here.lake, here.catalog[name]))


def state(here, name):
    return next(table.state for table in list_tables(here) if table.table == name)


def test_a_day_held_back_is_not_tried_again_from_the_same_rows_and_its_readers_go_on(poisoned):
    assert poisoned.create_planner().find_stale_tables() == []
    assert [row[0] for row in rows(poisoned, "marts/shop_days")] == [june(3), june(5)]
    found = read_notes(poisoned.lake, poisoned.catalog["staged/sales"])
    assert found.held_back == {june(4): "2 of 3 rows break the contract (66.7%; 50.0% are allowed)"}
    assert state(poisoned, "staged/sales") == "up to date with its inputs; 1 period held back"


def test_a_day_held_back_is_tried_again_when_it_gets_more_rows(poisoned):
    sell(poisoned, "b", lines(4, 5, 6, first=40))
    take(poisoned)
    assert [(part.table, part.keys) for part in poisoned.create_planner().find_stale_tables()] == [
        ("staged/sales", (june(4),))
    ]
    bring_up_to_date(poisoned)
    assert said(poisoned, "staged/sales") == ""
    assert june(4) in [row[0] for row in rows(poisoned, "marts/shop_days")]


def test_a_day_held_back_is_tried_again_by_mended_code(poisoned):
    def mended(raw_sales):
        return typed(raw_sales).with_columns(col("amount").abs())

    here = replace(poisoned, catalog=with_sales(mended))
    assert [(part.table, part.keys) for part in here.create_planner().find_stale_tables()] == [
        ("staged/sales", (june(4),))
    ]
    redo(here, "staged/sales", only(4))
    assert here.create_planner().find_stale_tables() == []
    assert read_notes(here.lake, here.catalog["staged/sales"]).held_back == {}


def test_periods_that_other_code_made_are_told_until_they_are_made_again(poisoned):
    def doubled(sales):
        return by_day(sales).with_columns(col("amount") * 2)

    assert said(poisoned, "marts/shop_days") == ""
    here = replace(poisoned, catalog=with_days(doubled))
    other = "made by other code or under another contract"
    told = f"2 periods were {other} (2024-06-03 to 2024-06-05)"
    assert said(here, "marts/shop_days") == told
    assert state(here, "marts/shop_days") == f"up to date with its inputs; {told}"
    redo(here, "marts/shop_days", only(3))
    assert said(here, "marts/shop_days") == f"1 period was {other} (2024-06-05)"
    redo(here, "marts/shop_days")
    assert said(here, "marts/shop_days") == ""


def test_a_table_without_periods_is_made_by_other_code_as_a_whole(tmp_path):
    here = world(tmp_path)
    (tmp_path / "landing" / "fx_rates").mkdir()
    (tmp_path / "landing" / "fx_rates" / "a.csv").write_text("Date,USD\n2010-12-01,1.3\n")
    bring_up_to_date(here)
    rates = here.catalog["staged/fx_rates"]
    changed = replace(
        rates, transform=lambda raw_fx_rates: rates.transform(raw_fx_rates).filter(pl.lit(True))
    )
    assert str(read_notes(here.lake, changed)) == "made by other code or under another contract"


def test_a_run_of_other_code_that_was_cut_off_before_its_table_is_noticed(tmp_path, monkeypatch):
    def stricter(raw_sales):
        return typed(raw_sales).with_columns(
            pl.when(col("id") == 1).then(-1.0).otherwise("amount").alias("amount")
        )

    here = world(tmp_path, with_sales(typed))
    sell(here, "a", lines(3, 1, 2, 3, -1))
    bring_up_to_date(here)
    cut = replace(here, catalog=with_sales(stricter))
    with monkeypatch.context() as broken:
        broken.setattr("lakehouse.publish.publish.failpoint", cut_off)
        with pytest.raises(KeyboardInterrupt):
            redo(cut, "staged/sales")
    assert len(rows(here, "quarantine/staged_sales")) == 2
    bring_up_to_date(here)
    assert len(rows(here, "quarantine/staged_sales")) == 1
    assert len(rows(here, "staged/sales")) == 3


def cut_off(point: str) -> None:
    if point == "publish: quarantine committed":
        raise KeyboardInterrupt
