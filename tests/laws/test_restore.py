"""Law 2: a table that was rolled back to any version ends with the same content as if nothing had happened."""

from shutil import copytree, rmtree

import pytest
from deltalake import write_deltalake
from support.sizes import first, full
from support.worlds import bring_up_to_date, contents, world
from tills import june, lines, only, redo, rows, sell, take, till

from lakehouse.observe.overview import list_audits

TABLES = ["raw/sales", "staged/sales", "marts/shop_days", "marts/shops"]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A till after three deliveries: new days, lines of an earlier day, and a reject."""
    folder = tmp_path_factory.mktemp("template")
    shop = world(folder, till())
    sell(shop, "a", lines(3, 1, 2), lines(4, 3, first=3))
    bring_up_to_date(shop)
    sell(shop, "b", lines(5, 4, 5, first=5), lines(3, 6, first=9))
    bring_up_to_date(shop)
    sell(shop, "c", lines(4, 7, 8, -1, first=11), lines(20, 9, first=20))
    bring_up_to_date(shop)
    return folder


@pytest.fixture
def grown(template, tmp_path):
    """A copy of it."""
    return world(copytree(template, tmp_path / "grown"), till())


def origins(here):
    return sorted(here.lake.scan("raw/sales").select("_source", "_offset").collect().rows())


@pytest.mark.parametrize("version", first(1, [0, 1]))
@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_rolled_back_comes_back(grown, table, version):
    before = (contents(grown), origins(grown), rows(grown, "quarantine/staged_sales"))
    grown.lake.open(table).restore(version)
    bring_up_to_date(grown)
    assert (contents(grown), origins(grown), rows(grown, "quarantine/staged_sales")) == before


def test_everything_rolled_back_at_once_comes_back(grown):
    before = (contents(grown), origins(grown))
    for table in TABLES:
        grown.lake.open(table).restore(0)
    bring_up_to_date(grown)
    assert (contents(grown), origins(grown)) == before


def test_a_staged_table_made_from_a_rolled_back_raw_table_comes_back(grown):
    before = contents(grown)
    grown.lake.open("raw/sales").restore(0)
    for table in TABLES[1:]:
        redo(grown, table)
    bring_up_to_date(grown)
    assert contents(grown) == before


def test_a_table_rolled_back_twice_comes_back(grown):
    before = contents(grown)
    for version in (1, 0, 2):
        grown.lake.open("staged/sales").restore(version)
    bring_up_to_date(grown)
    assert contents(grown) == before


def test_a_table_rolled_back_and_forth_between_runs_comes_back(grown):
    before = contents(grown)
    for version in (0, 1):
        grown.lake.open("staged/sales").restore(version)
        bring_up_to_date(grown)
        assert contents(grown) == before


def test_a_delivery_after_a_roll_back_is_made_with_the_rest(grown):
    grown.lake.open("raw/sales").restore(1)
    grown.lake.open("staged/sales").restore(0)
    sell(grown, "d", lines(4, 10, first=30))
    bring_up_to_date(grown)
    assert (june(4), "north", 28.0, 4) in rows(grown, "marts/shop_days")


def test_a_file_of_dead_letters_is_not_doubled_by_a_roll_back(grown):
    sell(grown, "e", lines(6, 1, first=40), "41,too,short\n", lines(6, 2, first=42))
    take(grown)
    before = rows(grown, "quarantine/dead_letters")
    grown.lake.open("raw/sales").restore(0)
    bring_up_to_date(grown)
    assert (len(before), rows(grown, "quarantine/dead_letters")) == (1, before)
    assert sum(audit.dead_letters for audit in list_audits(grown, "raw/sales")) == 1


def test_a_table_that_was_deleted_is_made_again(grown):
    before = contents(grown)
    rmtree(grown.lake.uri("staged/sales"))
    bring_up_to_date(grown)
    assert contents(grown) == before


REJECTED, LETTERS = "quarantine/staged_sales", "quarantine/dead_letters"


@pytest.mark.parametrize(
    ("table", "rolled_back"),
    [(REJECTED, True), (LETTERS, False), full(REJECTED, False), full(LETTERS, True)],
)
def test_rejected_rows_that_are_rolled_back_or_deleted_come_back(shop, table, rolled_back):
    for day in (3, 4):
        sell(shop, str(day), lines(day, 1, 2, -1, first=10 * day), f"9,{day},short\n")
        bring_up_to_date(shop)
    before = rows(shop, table)
    if rolled_back:
        shop.lake.open(table).restore(0)
    else:
        shop.lake.open(table).delete()
    bring_up_to_date(shop)
    assert rows(shop, table) == before
    assert shop.create_planner().find_stale_tables() == []


def test_a_quarantine_that_was_deleted_comes_back(shop):
    for day in (3, 4):
        sell(shop, str(day), lines(day, 1, 2, -1, first=10 * day))
        bring_up_to_date(shop)
    before = rows(shop, "quarantine/staged_sales")
    rmtree(shop.lake.uri("quarantine/staged_sales"))
    redo(shop, "staged/sales", only(4))
    bring_up_to_date(shop)
    assert rows(shop, "quarantine/staged_sales") == before
    assert shop.create_planner().find_stale_tables() == []


def test_rows_that_somebody_puts_into_quarantine_are_taken_out(shop):
    sell(shop, "a", lines(3, 1, 2, -1), lines(4, 1))
    bring_up_to_date(shop)
    table, before = "quarantine/staged_sales", rows(shop, "quarantine/staged_sales")
    write_deltalake(
        shop.lake.uri(table),
        shop.lake.scan(table).collect().with_columns(_window=june(4)),
        mode="append",
    )
    bring_up_to_date(shop)
    assert rows(shop, table) == before
    assert shop.create_planner().find_stale_tables() == []


def test_a_compaction_of_the_quarantine_disturbs_nothing(shop):
    for day in (3, 4):
        sell(shop, str(day), lines(day, 1, 2, -1, first=10 * day))
        bring_up_to_date(shop)
    shop.lake.open("quarantine/staged_sales").optimize.compact()
    assert shop.create_planner().find_stale_tables() == []


def test_a_single_dead_letter_that_is_lost_comes_back_alone(shop):
    sell(shop, "a", lines(3, 1), "8,too,short\n", "9,far,too,many,fields\n", lines(3, 2, first=2))
    bring_up_to_date(shop)
    before = rows(shop, "quarantine/dead_letters")
    shop.lake.open("quarantine/dead_letters").delete("_offset = 2")
    take(shop)
    assert rows(shop, "quarantine/dead_letters") == before
    assert sum(audit.dead_letters for audit in list_audits(shop, "raw/sales")) == 2
