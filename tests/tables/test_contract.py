"""The properties of a contract, its version, and its checks."""

import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl
import pytest

from lakehouse.errors import SetupError
from lakehouse.tables.contract import (
    Contract,
    Field,
    Instant,
    TableProperties,
    get_properties,
    list_columns,
    to_polars_schema,
)
from lakehouse.tables.contract_checks import check_contract
from lakehouse.tables.versions import compute_contract_version

ROOT = Path(__file__).resolve().parents[2]

HEADER = """
from datetime import date, timedelta
import pandera.polars as pa
import polars as pl
from lakehouse.tables.contract import Contract, Field
class T(Contract):
"""
BODY = """
    a: int = Field(ge=0, isin=[1, 2], unit="kg", pii=False, nullable=False, description="Weight")
    b: str = Field(isin={"x", "y", "z"}, notin=frozenset("pqr"))
    d: date = Field()
    class Table:
        key = ("a",)
        date_column = "d"
        rules = {
            "a is one": pl.col("a").is_in([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).all(),
            "n": pl.col("a").map_batches(len).sum() > 0,
        }
    @pa.check("b")
    def is_short(cls, data):
        return data.lazyframe.select(pl.col("b").str.len_chars() < 5)
"""


def version_of(tmp_path: Path, body: str, *, seed: str = "0") -> str:
    """The version of a contract as a process of its own sees it."""
    (tmp_path / "promised.py").write_text(HEADER + body)
    code = "from lakehouse.tables.versions import compute_contract_version; from promised import T; print(compute_contract_version(T))"
    known = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=known, check=True, capture_output=True, text=True
    ).stdout


def here(body: str, module: Path) -> str:
    """The version of a contract, in this process."""
    module.write_text(HEADER + body)
    names: dict[str, object] = {"__name__": module.stem}
    exec(compile(module.read_text(), str(module), "exec"), names)
    return compute_contract_version(names["T"])


class Orders(Contract):
    """Orders."""

    order: int = Field(unit="pieces", pii=True, description="The number")
    placed_at: Instant = Field(nullable=True)
    day: date

    class Table:
        key = ("order",)
        date_column = "day"
        fresh_within = timedelta(days=1)


def test_the_facts_of_a_table_are_read_from_its_inner_class():
    assert get_properties(Orders) == TableProperties(
        key=("order",), date_column="day", fresh_within=timedelta(days=1)
    )


def test_a_contract_without_an_inner_class_has_no_facts():
    class Bare(Contract):
        a: int

    assert get_properties(Bare) == TableProperties()


def test_facts_are_inherited():
    class Special(Orders):
        extra: str

    assert get_properties(Special).key == ("order",)
    assert list(to_polars_schema(Special)) == ["order", "placed_at", "day", "extra"]


def test_columns_tell_what_the_catalogue_shows():
    order, placed, day = list_columns(Orders)
    assert (order.dtype, order.nullable, order.unit, order.pii, order.description) == (
        pl.Int64(),
        False,
        "pieces",
        True,
        "The number",
    )
    assert (placed.dtype, placed.nullable, placed.unit) == (pl.Datetime("us", "UTC"), True, None)
    assert day.dtype == pl.Date()


def test_an_unknown_fact_is_refused_with_the_known_ones():
    with pytest.raises(
        SetupError, match=r"primary_key[\s\S]*use one of counts, date_column, event_time"
    ):
        type("Wrong", (Contract,), {"Table": type("Table", (), {"primary_key": ("a",)})})


CHANGES = {
    "a bound": ("ge=0", "ge=1"),
    "a known value": ("isin=[1, 2]", "isin=[1, 3]"),
    "a value of a set": ('"z"', '"w"'),
    "presence": ("nullable=False", "nullable=True"),
    "a unit": ("kg", "g"),
    "personal data": ("pii=False", "pii=True"),
    "a type": ("a: int", "a: pl.Int32"),
    "a name": ("d: date", "day: date"),
    "the key": ('("a",)', '("a", "b")'),
    "the date column": ('date_column = "d"', "date_column = None"),
    "the partitioning": ("class Table:", 'class Table:\n        physical = "day"'),
    "the share of rejects": ("class Table:", "class Table:\n        max_quarantined = 0.1"),
    "a table rule's name": ("a is one", "a is any"),
    "a table rule": ("6, 7", "6, 6"),
    "the source of a check": ("< 5", "< 6"),
    "how missing values count": ('pa.check("b")', 'pa.check("b", ignore_na=False)'),
    "the column of a check": ('pa.check("b")', 'pa.check("d")'),
    "a dataframe check": ('@pa.check("b")', "@pa.dataframe_check"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_version_changes_with(change, tmp_path):
    old, new = CHANGES[change]
    assert old in BODY
    assert here(BODY, tmp_path / "before.py") != here(BODY.replace(old, new), tmp_path / "after.py")


def test_the_version_does_not_change_with_words_about_the_promise(tmp_path):
    assert here(BODY, tmp_path / "before.py") == here(
        BODY.replace("Weight", "Mass"), tmp_path / "after.py"
    )


def test_the_version_is_the_same_in_every_process(tmp_path):
    assert version_of(tmp_path, BODY, seed="1") == version_of(tmp_path, BODY, seed="2")


def test_the_version_is_short():
    assert re.fullmatch(r"[0-9a-f]{12}", compute_contract_version(Orders))


def test_a_proof_lists_every_problem_at_once():
    class Wrong(Contract):
        a: int = Field(nullable=True, unique=True)
        when: Annotated[pl.Datetime, "ns", None]
        length: pl.Duration
        day: int

        class Table:
            key = ("a", "b")
            sequence = ("c",)
            date_column = "day"
            max_quarantined = 5

    with pytest.raises(SetupError) as refusal:
        check_contract(Wrong)
    assert [line for line in str(refusal.value).splitlines() if line.startswith("  - ")] == [
        "  - max_quarantined is 5, it has to be a share between 0 and 1",
        "  - key names the column 'b', which the contract does not have",
        "  - sequence names the column 'c', which the contract does not have",
        "  - date_column 'day' is Int64, it has to be Date",
        "  - key column 'a' is nullable",
        "  - column 'when' is Datetime(time_unit='ns', time_zone=None): declare times as Instant (microseconds, UTC)",
        "  - column 'length' is Duration(time_unit='us'), which Delta Lake cannot store",
        "  - 'a' is declared unique, which cannot be checked row by row: name it in `key`, or in a table rule",
    ]


def test_a_window_that_may_be_missing_is_refused():
    class Wrong(Contract):
        day: date = Field(nullable=True)

        class Table:
            date_column = "day"

    with pytest.raises(SetupError, match="date_column 'day' is nullable"):
        check_contract(Wrong)


def test_a_name_of_the_engine_is_refused():
    wrong = type("Wrong", (Contract,), {"__annotations__": {"x": int}, "x": Field(alias="_source")})
    with pytest.raises(SetupError, match="'_source': names that begin with _ belong to the engine"):
        check_contract(wrong)


def test_a_model_that_coerces_is_refused_because_the_transform_does_that():
    class Wrong(Contract):
        a: int

        class Config:
            coerce = True

    with pytest.raises(SetupError, match="let the transform do that"):
        check_contract(Wrong)


@pytest.mark.parametrize(
    "kind", [pl.Int8, pl.Float32, pl.Binary, bool, date, Instant, Annotated[pl.List, pl.Int64()]]
)
def test_every_type_of_delta_lake_is_allowed(kind):
    check_contract(type("Fine", (Contract,), {"__annotations__": {"x": kind}, "x": Field()}))
