"""Two domains whose tables have the same names."""

import importlib
import sys
from pathlib import Path

import pytest
from support.worlds import bring_up_to_date, world, write

from lakehouse.errors import SetupError
from lakehouse.tables.collect import collect_tables

TABLES = '''
from lakehouse.tables import Contract, Field, mart, raw, staged


class Order(Contract):
    """An order."""

    id: str
    item: str = Field(nullable=True)

    class Table:
        key = ("id",)
        max_quarantined = 1.0
        references = {"item": "items"}


class Item(Contract):
    """An item."""

    item: str

    class Table:
        key = ("item",)


class Best(Contract):
    """An order that was good."""

    id: str


raw_orders = raw("orders", "Orders.", columns=("id", "item"))
raw_items = raw("items", "Items.", columns=("item",))


@staged(Item)
def items(raw_items):
    """Items."""
    return raw_items


@staged(Order)
def orders(raw_orders):
    """Orders."""
    return raw_orders


@mart(Best)
def best_orders(orders):
    """Orders that are good."""
    return orders
'''
READER = '''
from lakehouse.tables import Contract, mart


class Line(Contract):
    """An order of the shop."""

    id: str


@mart(Line)
def shop_lines(shop_orders):
    """Orders of the shop, read from another domain."""
    return shop_orders
'''


@pytest.fixture
def load(tmp_path: Path, monkeypatch):
    """Loads domains whose `__init__.py` has a given text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(**domains: str):
        files = {domain: tmp_path / "many" / domain for domain in domains}
        for domain, folder in files.items():
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text(domains[domain])
            (folder / "tables.py").write_text(READER if domain == "reports" else TABLES)
        importlib.invalidate_caches()
        return collect_tables(
            [importlib.import_module(f"many.{domain}.tables") for domain in domains]
        )

    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] == "many"]:
        del sys.modules[name]


def test_a_domain_with_a_prefix_names_and_reads_its_own_tables(load, tmp_path):
    catalog = load(web="", shop="PREFIX = True\n", reports="")
    names = {"orders", "items", "best_orders"}
    assert {n.split("/")[1] for n in catalog.tables} == names | {f"shop_{n}" for n in names} | {
        "shop_lines"
    }
    assert catalog.find_inputs(catalog["marts/shop_best_orders"]) == {
        "orders": "staged/shop_orders"
    }
    here = world(tmp_path / "lake", catalog)
    for folder, order, item in (("", "1", "a"), ("shop_", "2", "b"), ("shop_", "3", "a")):
        write(here, f"{folder}orders", f"{order}.csv", f"id,item\n{order},{item}\n")
        write(here, f"{folder}items", "items.csv", f"item\n{'b' if folder else 'a'}\n")
    bring_up_to_date(here)
    ids = {
        name: here.lake.scan(f"marts/{name}").collect()["id"].to_list()
        for name in ("best_orders", "shop_best_orders", "shop_lines")
    }
    assert ids == {"best_orders": ["1"], "shop_best_orders": ["2"], "shop_lines": ["2"]}


def test_without_a_prefix_the_message_names_it(load):
    with pytest.raises(SetupError, match="PREFIX = True"):
        load(web="", shop="PREFIX = False\n")
