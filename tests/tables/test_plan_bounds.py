"""Bounds of whole numbers in a plan: what they let through in 64 or 128 bits is that of Python."""

import random

import polars as pl
import pytest
from polars import col
from support.sizes import first

from lakehouse.tables.number_bounds import Bound, BoundedFrame
from lakehouse.tables.plan_bounds import find_excess
from lakehouse.tables.plan_calls import read_plan

EDGES = [0, 1, -1, 3, 2**31 - 1, -(2**31), 2**31, 2**32, 2_000_000_000, 2**40, 2**62]
EDGES += [2**63 - 1, -(2**63)]
SCHEMA = {"g": pl.Int64(), "m": pl.Int64(), "n": pl.Int64()}


def excess_of(transform, **sizes):
    """What a transform of one table of four rows may make too large."""
    columns = {name: Bound(size, frozenset({name})) for name, size in sizes.items()}
    plan = read_plan(transform(pl.LazyFrame(schema=dict.fromkeys(sizes, pl.Int64))))
    return find_excess(plan, [BoundedFrame(columns, 4)])


def grow(chance, depth):
    """A random expression over `m` and `n`, and the same in Python; one value each row."""
    if depth == 0:
        name = chance.choice("mn")
        return col(name), lambda rows: [row[name] for row in rows]
    (left, by_left), (right, by_right) = grow(chance, depth - 1), grow(chance, depth - 1)

    def each(compute):
        return lambda rows: [
            compute(a, b) for a, b in zip(by_left(rows), by_right(rows), strict=True)
        ]

    def running(rows):
        values = by_left(rows)
        return [sum(values[: number + 1]) for number in range(len(values))]

    return chance.choice(
        [
            (left * right, each(lambda a, b: a * b)),
            (left + right, each(lambda a, b: a + b)),
            (left - right, each(lambda a, b: a - b)),
            (left**3, each(lambda a, _: a**3)),
            (left * 1000, each(lambda a, _: a * 1000)),
            (left.cum_sum(), running),
            (left.sum() + 0 * right, lambda rows: [sum(by_left(rows))] * len(rows)),
            (left.sum().over("g"), lambda rows: [sum(by_left(rows))] * len(rows)),
            (
                pl.when(right > 0).then(left).otherwise(right),
                each(lambda a, b: a if b > 0 else b),
            ),
        ]
    )


@pytest.mark.parametrize("seed", first(40, range(800)))
def test_what_is_let_through_is_that_of_python(seed):
    chance = random.Random(seed)
    expression, by_hand = grow(chance, chance.choice([1, 1, 2, 2, 3]))
    some = EDGES[: chance.choice([4, 9, 10, len(EDGES)])]
    rows = [{"g": 1, "m": chance.choice(some), "n": chance.choice(some)} for _ in range(4)]
    found = excess_of(
        lambda frame: frame.select(x=expression),
        **{name: max(abs(row[name]) for row in rows) for name in SCHEMA},
    )
    if found.beyond or found.stuck:
        return
    frame = pl.LazyFrame(rows, schema=SCHEMA)
    wide = frame.with_columns(pl.col(sorted(found.columns)).cast(pl.Int128))
    got = wide.select(x=expression).collect()["x"].to_list()
    assert got == by_hand(rows), (str(expression), rows)


N, M = col("n"), col("m")
SMALL = {
    "a sum": N.sum(),
    "a product": N * M,
    "a sum of products": (N * M).sum(),
    "a power": N**3,
    "unary minus": (-N).sum(),
    "a count": pl.len() * N,
    "another column is large": N.sum().over("g"),
}


@pytest.mark.parametrize("way", SMALL)
def test_columns_of_small_numbers_stay_in_64_bits(way):
    found = excess_of(lambda frame: frame.select(x=SMALL[way]), n=10**5, m=10**9, g=2**62)
    assert (found.columns, found.beyond, found.stuck) == (frozenset(), (), ())


@pytest.mark.parametrize(
    "transform",
    [
        lambda frame: frame.select(x=N.sum() * N.sum()),
        lambda frame: frame.with_columns(n=N * N).with_columns(n=N * N),
        lambda frame: frame.rename({"n": "q"}).select(col("q") ** 3),
        lambda frame: frame.select(col("n").name.suffix("_x")).select(col("n_x") ** 3),
        lambda frame: frame.join(frame, on="m").select(x=N * N * col("n_right")),
        lambda frame: frame.select((col("m", "n") ** 3).sum()),
        lambda frame: frame.with_columns(m=N * N).sum().select(M * N),
        lambda frame: pl.concat([frame.select("n"), frame.select(n=N * N)]).select(N * N),
        lambda frame: frame.select(pl.sum_horizontal(N * N * N, N)),
        lambda frame: frame.select(N.implode().list.sum() ** 3),
        lambda frame: frame.select(N.dot(N) * N.max()),
        lambda frame: frame.unpivot(["n"], index="m").select(col("value") ** 3),
    ],
    ids=range(12),
)
def test_products_are_found_whatever_the_steps_before_them(transform):
    found = excess_of(transform, n=2**31, m=1)
    assert "n" in found.columns


def test_what_leaves_128_bits_is_told():
    found = excess_of(lambda frame: frame.select(x=N**3), n=2**62)
    assert found.beyond == ("a power of n",)


def test_a_cast_to_64_bits_before_a_sum_is_told():
    found = excess_of(lambda frame: frame.select(x=N.cast(pl.Int64).sum()), n=2**62)
    assert len(found.stuck) == 1


def test_text_that_is_cast_stops_nothing():
    plan = read_plan(
        pl.LazyFrame(schema={"t": pl.String()}).select(col("t").cast(pl.Int64).sum() * 100)
    )
    found = find_excess(plan, [BoundedFrame({"t": Bound()}, 4)])
    assert (found.columns, found.stuck, found.beyond) == (frozenset(), (), ())


def test_a_join_that_would_pair_all_rows_stops_no_table():
    tables = [pl.LazyFrame(schema={"k": pl.String(), name: pl.Int64()}) for name in ("n", "m")]
    plan = read_plan(tables[0].join(tables[1], on="k").select(x=(N * M).sum() * N.sum()))
    inputs = [
        BoundedFrame({"k": Bound(), name: Bound(10**6, frozenset({name}))}, 10**6)
        for name in ("n", "m")
    ]
    found = find_excess(plan, inputs)
    assert (found.columns, found.beyond) == ({"n", "m"}, ())
