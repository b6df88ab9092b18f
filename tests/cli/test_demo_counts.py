"""The report of `lakehouse demo`: counts as numbers, rules by name, hashes as people compare them."""

import re

import pytest
from support.worlds import bring_up_to_date, world, write

from lakehouse.cli import demo_report
from lakehouse.environment import Environment

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = [
    f"5363{n:02},85123A,HEART,{n},2010-12-01 08:26:00,2.55,178{n:02}.0,Norway"
    for n in range(10, 40)
]
WITHOUT = [
    "536301,85123A,,1,2010-12-01 08:26:00,2.55,17850.0,Norway",
    "536302,85123A,damaged,1,2010-12-01 08:26:00,0,17850.0,Norway",
    "536303,85123A,HEART,0,2010-12-01 08:26:00,2.55,17850.0,Norway",
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A lake whose products leave out rows by two rules, one with a comma in its name."""
    here = world(tmp_path_factory.mktemp("filled"))
    write(here, "invoice_lines", "a.csv", "\n".join([HEADER, *LINES, *WITHOUT]))
    bring_up_to_date(here)
    return here


def report(here: Environment, capsys) -> str:
    before = dict.fromkeys(here.catalog.tables)
    demo_report.print_report(here, before, [], {}, "SELECT 1 AS x", "make ui")
    return capsys.readouterr().out


def test_filtered_is_a_number_and_the_rules_are_named_below(filled, capsys):
    out = report(filled, capsys)
    header, *rows = out.partition("What happened to every row\n")[2].splitlines()
    [products] = [row.split() for row in rows if row.startswith("staged/products ")]
    assert dict(zip(header.split(), products, strict=True))["filtered"] == "2"
    assert "staged/products\n  filtered 1: no description\n" in out
    assert "\n  filtered 1: stock remark, at price 0\n" in out


def test_hashes_are_as_short_as_in_other_messages(filled, capsys):
    out = report(filled, capsys)
    assert re.search(r"  a\.csv#[0-9a-f]{12}, record \d+: quantity is 0\n", out)
