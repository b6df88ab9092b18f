"""How rows in quarantine are merged with the rows that are rejected now."""

from datetime import UTC, datetime

import polars as pl
import pytest
from polars import col

from lakehouse.quarantine.merge_states import merge_all_judged
from lakehouse.quarantine.states import (
    STATES,
    Attempt,
    count_by_state,
    fill_states,
    identify_by_origin,
    is_in,
)

BEFORE, NOW = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 2, tzinfo=UTC)
FIRST = Attempt("first", "code", "contract", now=BEFORE)
AGAIN = Attempt("again", "code", "contract", now=NOW)
KEY = [col("id")]


def rejected(attempt, *ids, **columns):
    """Rows that an attempt rejects, by their numbers."""
    rows = pl.LazyFrame({"id": list(ids), **columns}, schema_overrides={"id": pl.Int64})
    return rows.with_columns(pl.lit(["rule"]).alias("_rules"), *attempt.build_first_columns())


def after(standing, now, attempt=AGAIN, identity=KEY, **options):
    """Returns the quarantine after an attempt, by number."""
    return (
        merge_all_judged(standing, now, identity, attempt, **options)
        .sort("id")
        .collect(engine="streaming")
    )


def values(frame, *names):
    return frame.select("id", *names).rows()


def test_each_row_is_there_once_and_in_a_state():
    found = after(rejected(FIRST, 1, 2), rejected(AGAIN, 2, 3))
    assert values(found, "_state") == [(1, "released"), (2, "open"), (3, "open")]
    assert count_by_state(found.lazy()) == {"open": 2, "released": 1}


def test_first_and_last_seen_are_kept_apart():
    found = after(rejected(FIRST, 1, 2), rejected(AGAIN, 2, 3))
    assert found["_first_seen_at"].to_list() == [BEFORE, BEFORE, NOW]
    assert found["_last_seen_at"].to_list() == [BEFORE, NOW, NOW]
    assert values(found, "_settled_at", "_settled_by")[0] == (1, NOW, "again")


def test_what_was_released_stays_as_it_was_noted_until_it_is_rejected_again():
    once = after(rejected(FIRST, 1, 2), rejected(AGAIN)).lazy()
    later = Attempt("later", now=datetime(2024, 6, 3, tzinfo=UTC))
    found = after(once, rejected(later, 2), later)
    assert values(found, "_state", "_settled_by", "_settled_at") == [
        (1, "released", "again", NOW),
        (2, "open", None, None),
    ]


@pytest.mark.parametrize(
    ("attempt", "tries"),
    [
        (AGAIN, 1),
        (Attempt("again", "code", "contract", is_replay=True), 2),
        (Attempt("first", "code", "contract", is_replay=True), 1),
        (Attempt("first", "other code", "contract"), 2),
        (Attempt("first", "code", "another contract"), 2),
    ],
    ids=["same", "a replay", "the same replay", "other code", "another contract"],
)
def test_a_try_is_another_transform_or_contract_or_a_replay(attempt, tries):
    assert values(after(rejected(FIRST, 1), rejected(attempt, 1), attempt), "_tries") == [
        (1, tries)
    ]


def discarded(rows):
    state = [
        pl.lit("discarded").alias("_state"),
        pl.lit("ann").alias("_settled_by"),
        pl.lit("why").alias("_discard_reason"),
    ]
    return rows.with_columns(state)


def test_what_was_discarded_stays_so_while_it_is_rejected():
    found = after(discarded(rejected(FIRST, 1, 2)), rejected(AGAIN, 1))
    assert values(found, "_state", "_settled_by", "_discard_reason") == [
        (1, "discarded", "ann", "why"),
        (2, "released", "again", None),
    ]


@pytest.mark.parametrize(("stood", "now"), [(3, 2), (2, 3), (0, 2), (2, 0)])
def test_rows_that_equal_each_other_are_counted(stood, now):
    found = after(rejected(FIRST, *[7] * stood), rejected(AGAIN, *[7] * now))
    assert found.height == max(stood, now)
    assert found.filter(is_in("open")).height == now


def test_rows_without_a_value_in_their_key_are_the_same_row():
    assert values(after(rejected(FIRST, None), rejected(AGAIN, None)), "_state") == [(None, "open")]


def test_a_row_is_known_by_its_bytes_whatever_their_file_is_called():
    origin = {"_offset": [1]}
    stood = rejected(FIRST, 1, _source=["a.csv#" + "0123456789abcdef" * 4], **origin)
    now = rejected(AGAIN, 1, _source=["b.csv#" + "0123456789abcdef" * 4], **origin)
    found = after(stood, now, identity=identify_by_origin(), is_unique=True)
    assert values(found, "_source", "_state") == [(1, "b.csv#" + "0123456789abcdef" * 4, "open")]


def test_columns_that_came_and_went_keep_their_values():
    found = after(rejected(FIRST, 1, old=["x"]), rejected(AGAIN, 2, new=["y"]))
    assert values(found, "old", "new") == [(1, "x", None), (2, None, "y")]


def test_a_column_of_another_type_takes_the_new_one():
    found = after(rejected(FIRST, 1, 2, n=["5", "x"]), rejected(AGAIN, 3, n=[7]))
    assert values(found, "n") == [(1, 5), (2, None), (3, 7)]


def test_a_column_that_became_nested_is_null_in_the_rows_that_stood():
    found = after(rejected(FIRST, 1, n=["5"]), rejected(AGAIN, 2, n=[[7]]))
    assert values(found, "n") == [(1, None), (2, [7])]


def test_rows_that_another_program_wrote_without_states_are_open():
    former = pl.LazyFrame(
        {"id": [1, 2], "_rules": [["rule"]] * 2, "_contract_version": ["contract"] * 2}
    )
    former = former.with_columns(pl.lit(BEFORE, dtype=STATES["_settled_at"]).alias("_ingested_at"))
    found = after(former, rejected(AGAIN, 2))
    assert values(found, "_state", "_tries", "_first_seen_at") == [
        (1, "released", 1, BEFORE),
        (2, "open", 1, BEFORE),
    ]
    assert fill_states(former).collect()["_state"].to_list() == ["open", "open"]
