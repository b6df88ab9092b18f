"""The benchmarks work on few rows: the ways that need nothing but this project."""

import json
from pathlib import Path

import polars as pl
import pytest
from support.sizes import full

from bench import beside, figures, publish
from bench.lineitem import SCHEMA, rows
from bench.published import Published, Rows, build_reader

BROKEN = (
    ("l_orderkey", "0"),
    ("l_partkey", "-1"),
    ("l_linenumber", "8"),
    ("l_quantity", "51"),
    ("l_extendedprice", "104500.00"),
    ("l_discount", "0.11"),
    ("l_tax", "-0.01"),
    ("l_returnflag", "X"),
    ("l_shipmode", "CART"),
    ("l_tax", ""),
    ("l_comment", ""),
)


@pytest.fixture(scope="session")
def line_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated line items; each of the first rows breaks one rule."""
    folder = tmp_path_factory.mktemp("tpch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "OUT", folder)
        csv = publish.generate_line_items(0.01)
    head, *rows = csv.read_text().splitlines()
    for n, (column, value) in enumerate(BROKEN):
        parts = rows[n].split(",", 15)
        parts[head.split(",").index(column)] = value
        rows[n] = ",".join(parts)
    csv.write_text("\n".join([head, *rows]) + "\n")
    return csv


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benchmarks keep what they found."""
    monkeypatch.setattr(beside, "OUT", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    return tmp_path


@pytest.mark.full
@pytest.mark.parametrize("others", [(), full(("sink_parquet", "sink_parquet, snappy"))])
def test_ours_publishes_what_duckdb_finds_beside_bare_writes(
    line_items: Path, out: Path, others: tuple[str, ...]
) -> None:
    names = ["ours", "sink_delta", *others]
    ways = publish.of_this_project(line_items, *names)
    lines = beside.side_by_side(
        publish.work("publish-test", line_items, ways, "sink_delta"), rounds=1
    )
    assert [line.way for line in lines] == names
    assert [line.commits for line in lines] == [2, 1, *(0 for _ in others)]
    kept = json.loads((out / "results" / "publish-test.json").read_text())
    assert [line["files"] for line in kept["lines"]] == [line.files for line in lines]


def test_every_rule_of_the_line_items_refuses_a_row(line_items: Path, tmp_path: Path) -> None:
    publish.one("ours", line_items, tmp_path)
    published = build_reader(line_items)("ours", "publish", tmp_path)
    assert published.rejected.count == len(BROKEN)
    assert (
        published.valid.count + published.rejected.count
        == len(line_items.read_text().splitlines()) - 1
    )


def test_ways_that_publish_other_rows_are_not_compared(line_items: Path, out: Path) -> None:
    other = out / "other.csv"
    other.write_text(line_items.read_text().replace(",DELIVER IN PERSON,", ",NONE,", 20))
    ways = [
        *publish.of_this_project(line_items, "ours"),
        *publish.of_this_project(other, "sink_parquet"),
    ]
    with pytest.raises(RuntimeError, match="not all ways made the same"):
        beside.side_by_side(publish.work("publish-test", line_items, ways, "ours"), rounds=1)
    assert not (out / "results").exists()


def test_a_peer_that_cannot_be_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refuse(peer: str) -> Path:
        raise RuntimeError(f"{peer} cannot be installed")

    monkeypatch.setattr(beside, "python_of", refuse)
    assert publish.of_peers(Path("lineitem.csv"), publish.PEERS) == []
    assert "goes on without dbt-duckdb: dbt cannot be installed" in capsys.readouterr().out


def published_by_ours(lines: list[str], folder: Path) -> Published:
    """What ours makes of some lines of a file."""
    folder.mkdir()
    csv = folder / "lineitem.csv"
    csv.write_text("\n".join(lines) + "\n")
    publish.one("ours", csv, folder)
    return build_reader(csv)("ours", "publish", folder)


@pytest.mark.full
@pytest.mark.parametrize(
    ("row", "same"), [(1, (True, False)), (100, (False, True))], ids=["rejected", "valid"]
)
def test_a_row_of_another_supplier_is_noticed(
    line_items: Path, tmp_path: Path, row: int, same: tuple[bool, bool]
) -> None:
    lines = line_items.read_text().splitlines()[:500]
    here = published_by_ours(lines, tmp_path / "here")
    parts = lines[row].split(",")
    parts[2] = str(int(parts[2]) + 1)
    lines[row] = ",".join(parts)
    there = published_by_ours(lines, tmp_path / "there")
    assert [one.count for one in here] == [one.count for one in there]
    assert (here.valid == there.valid, here.rejected == there.rejected) == same


def another(name: str) -> pl.Expr:
    """Returns a column in which one value differs by a letter, a day, a cent or 1."""
    dtype = SCHEMA[name]
    more = {pl.String: pl.lit("x"), pl.Date: pl.duration(days=1), pl.Float64: pl.lit(0.01)}.get(
        dtype, pl.lit(1)
    )
    return (
        pl.when(pl.int_range(pl.len()) == 100)
        .then(pl.col(name) + more)
        .otherwise(name)
        .cast(dtype)
        .alias(name)
    )


@pytest.mark.full
def test_another_value_in_any_column_of_a_bare_write_is_noticed(
    line_items: Path, tmp_path: Path
) -> None:
    found, file, unnoticed = build_reader(line_items), tmp_path / "lineitem.parquet", []
    rows(line_items).sink_parquet(file)
    asked = found("sink_parquet", "publish", tmp_path)
    assert asked.rejected.count == len(BROKEN)
    for name in SCHEMA:
        rows(line_items).with_columns(another(name)).sink_parquet(file)
        unnoticed += [name] if found("sink_parquet", "publish", tmp_path) == asked else []
    assert unnoticed == []


def test_a_bare_write_that_lost_rows_is_noticed(line_items: Path, tmp_path: Path) -> None:
    publish.one("sink_parquet", line_items, tmp_path)
    more = tmp_path / "more.csv"
    more.write_text(line_items.read_text() + line_items.read_text().splitlines()[-1] + "\n")
    found = [build_reader(csv)("sink_parquet", "publish", tmp_path) for csv in (line_items, more)]
    assert [each.rejected.count for each in found] == [len(BROKEN), 0]


def test_a_folder_of_rejects_without_a_table_holds_none(line_items: Path, tmp_path: Path) -> None:
    rows(line_items).head(100).collect().write_delta(tmp_path / "public" / "lineitem")
    (tmp_path / "public" / "lineitem_rejected").mkdir()
    published = build_reader(line_items)("dlt arrow", "publish", tmp_path)
    assert (published.valid.count, published.rejected) == (100, Rows(0, 0))
