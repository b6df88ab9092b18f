"""A quarantined row is always open, released or discarded; a replay lands what passes now, each row once."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import strategies as st
from polars import col
from support.sizes import examples, first
from support.worlds import NOW, bring_up_to_date, catalog_of, in_state, world, write
from test_kills import run
from tills import HEADER, JUNE, lines, only, raw_sales, redo, rows, sell, take, till, typed

from lakehouse.errors import SetupError
from lakehouse.ingest.limits import IngestLimits
from lakehouse.observe.overview import list_audits
from lakehouse.operations.replay import replay
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged

STAGED, REJECTS, LETTERS = "staged/sales", "quarantine/staged_sales", "quarantine/dead_letters"


def held_to(limit, **declared):
    """A till whose amounts must reach a limit."""

    class Sale(Contract):
        id: pl.Int64
        sold_on: pl.Date
        shop: str
        amount: float = Field(ge=limit)

        class Table:
            date_column = "sold_on"
            max_quarantined = 1.0

    @staged(Sale, **{"partitions": JUNE, **declared})
    def sales(raw_sales):
        """Typed sales."""
        return typed(raw_sales)

    return catalog_of(raw_sales=raw_sales, sales=sales)


def again(here, catalog):
    """The same place with other declarations."""
    return world(Path(here.landing.root).parent, catalog)


def states(here, table=REJECTS):
    """How many rows are in each state."""
    return dict(here.lake.scan(table).group_by("_state").len().collect().iter_rows())


def origins(here, table=STAGED):
    return sorted(here.lake.scan(table).select("_source", "_offset").collect().rows())


@pytest.fixture
def strict(tmp_path):
    """Sales of three days under a contract that rejects a row of two of them."""
    here = world(tmp_path, held_to(2))
    sell(here, "a", lines(3, 1, 2), lines(4, 3, 4, first=3), lines(6, 1, 0, 5, first=5))
    bring_up_to_date(here)
    return here


def test_a_replay_lands_what_passes_now_and_keeps_what_does_not(strict):
    here = again(strict, held_to(1))
    done = replay(here, STAGED, run_id="mended", now=NOW)
    assert (done.released.rules, done.remaining.rules) == ({"amount >= 2": 2}, {"amount >= 1": 1})
    assert [row[0] for row in rows(here, STAGED)] == [1, 2, 3, 4, 5, 7]
    assert states(here) == {"released": 2, "open": 1}


def test_a_replay_makes_exactly_the_periods_that_hold_open_rows(strict):
    here = again(strict, held_to(1))
    replay(here, STAGED, now=NOW)
    made = [span for audit in list_audits(here, STAGED)[1:] for span in audit.materialized]
    assert made == [only(3), only(6)]


def test_a_replay_without_open_rows_makes_nothing(strict):
    here = again(strict, held_to(0))
    replay(here, STAGED, now=NOW)
    version = here.lake.version(STAGED)
    done = replay(here, STAGED, now=NOW)
    assert (done.audits, here.lake.version(STAGED), done.released.rows) == ((), version, 0)


def test_what_is_open_of_rows_that_are_gone_stays_and_that_is_said(strict):
    strict.lake.open("raw/sales").delete("sold_on = '2024-06-03'")
    done = replay(strict, STAGED, now=NOW)
    assert (done.released.rows, done.remaining.rows) == (0, 3)
    assert done.notes == (
        f"{STAGED} [2024-06-03]: its input no longer has these rows; they stay open",
    )


def test_a_row_remembers_when_it_was_seen_and_what_it_broke(strict):
    first = in_state(strict, REJECTS).sort("_offset").row(-1, named=True)
    replay(again(strict, held_to(1)), STAGED, run_id="mended", now=NOW)
    row = in_state(strict, REJECTS).row(0, named=True)
    assert (row["_tries"], row["_rules"], row["_run_id"]) == (2, ["amount >= 1"], "mended")
    assert row["_first_seen_at"] == first["_first_seen_at"] < row["_last_seen_at"]
    assert row["_contract_version"] != first["_contract_version"]


def test_a_released_row_remembers_what_it_broke_and_which_run_released_it(strict):
    replay(again(strict, held_to(1)), STAGED, run_id="mended", now=NOW)
    row = in_state(strict, REJECTS, "released").row(0, named=True)
    assert (row["_settled_by"], row["_rules"], row["_tries"]) == ("mended", ["amount >= 2"], 1)
    assert row["_settled_at"] > row["_last_seen_at"]


def test_the_same_code_on_the_same_rows_is_no_further_try_unless_it_is_a_replay(strict):
    for run_id in ("one", "two"):
        redo(strict, STAGED, run_id=run_id)
    assert set(in_state(strict, REJECTS)["_tries"]) == {1}
    for _ in range(2):
        replay(strict, STAGED, run_id="a replay", now=NOW)
    assert set(in_state(strict, REJECTS)["_tries"]) == {2}


def test_a_row_that_breaks_a_tightened_contract_is_open_again(strict):
    for limit in (0, 2):
        replay(again(strict, held_to(limit)), STAGED, now=NOW)
        redo(again(strict, held_to(limit)), STAGED)
    assert states(strict) == {"open": 3}
    assert in_state(strict, REJECTS)["_settled_by"].null_count() == 3


def test_an_audit_counts_the_rows_that_broke_the_contract_now(strict):
    audit = redo(again(strict, held_to(1)), STAGED)
    assert (audit.read, audit.written, audit.quarantined, audit.rules["amount >= 1"]) == (
        7,
        6,
        1,
        1,
    )


# Discarding


def give_up(here, choice=None, table=STAGED):
    return discard(
        here.lake,
        here.catalog,
        table,
        choice or Choice(is_all=True),
        reason="tests of the till",
        who="ann",
    )


def test_a_discarded_row_says_who_gave_it_up_and_why_and_stays_so(strict):
    assert give_up(strict, Choice(where="TRY_CAST(amount AS FLOAT) = 0")) == 1
    redo(strict, STAGED)
    row = in_state(strict, REJECTS, "discarded").row(0, named=True)
    assert (row["id"], row["_settled_by"], row["_discard_reason"]) == (
        "6",
        "ann",
        "tests of the till",
    )
    assert states(strict) == {"open": 2, "discarded": 1}


def test_discarding_makes_nothing_stale(strict):
    give_up(strict)
    assert strict.create_planner().find_stale_tables() == []


def test_a_discarded_row_that_passes_lands_and_is_released(strict):
    give_up(strict)
    redo(again(strict, held_to(1)), STAGED)
    assert states(strict) == {"released": 2, "discarded": 1}


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (Choice(rules=["amount >= 2"]), 3),
        (Choice(rules=["another rule"]), 0),
        (Choice(sources=["a.csv"]), 3),
        (Choice(sources=["b.csv"]), 0),
        (Choice(where="sold_on = '2024-06-06'", rules=["amount >= 2"]), 2),
    ],
    ids=str,
)
def test_rows_are_chosen_by_rule_by_source_and_by_condition(strict, choice, chosen):
    assert give_up(strict, choice) == chosen
    assert states(strict).get("discarded", 0) == chosen


@pytest.mark.parametrize(
    "where",
    [
        "shop IN (SELECT column_1 FROM read_csv('{}'))",
        "EXISTS (select 1 from READ_CSV('{}'))",
        "shop IN (FROM read_csv('{}'))",
        "shop = 'a\\'' OR shop IN (SELECT a FROM read_csv('{}')) --'",
        "shop = (SELECT 1)",
    ],
)
def test_a_condition_reads_no_other_file(strict, tmp_path, where):
    (tmp_path / "hush.csv").write_text("hush-hush\n1\n")
    with pytest.raises(SetupError, match="may not read another table or file") as refusal:
        give_up(strict, Choice(where=where.format(tmp_path / "hush.csv")))
    assert "hush-hush" not in str(refusal.value)


def test_a_condition_may_compare_with_the_word_select(strict):
    assert give_up(strict, Choice(where="shop = 'select' OR amount = '0'")) == 1


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(), ": no condition says which rows to discard."),
        (Choice(where="price > 1"), ": there is no such column"),
        (Choice(where="amount >"), ": the condition cannot be read"),
        (Choice(where="shop"), ": the condition returns String"),
        (Choice(where="CAST(shop AS FLOAT) > 1"), ": the condition fails on the rows"),
    ],
    ids=str,
)
def test_a_choice_that_is_none_is_refused_with_a_next_step(strict, choice, told):
    with pytest.raises(SetupError, match=told) as refusal:
        give_up(strict, choice)
    assert "Next: " in str(refusal.value)
    assert "north" not in str(refusal.value)


# The sum

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("limit"), st.integers(0, 4)),
        st.tuples(
            st.just("sell"),
            st.lists(st.tuples(st.integers(3, 5), st.integers(-1, 5)), min_size=1, max_size=4),
        ),
        st.tuples(st.just("make"), st.integers(3, 5)),
        st.tuples(st.just("discard"), st.integers(-1, 5)),
        st.tuples(st.just("replay"), st.none()),
        st.tuples(st.just("restore"), st.none()),
    ),
    min_size=3,
    max_size=8,
)


@pytest.mark.full
@examples(6, 40, steps=STEPS)
def test_whatever_is_made_mended_discarded_or_rolled_back_the_sum_holds(steps):
    """Every row that was ever rejected is open, released or discarded, and the released rows are in the table."""
    with TemporaryDirectory() as folder:
        till_of_steps = Sequence(Path(folder))
        for name, value in [("sell", [(3, 0), (4, 1)]), *steps]:
            getattr(till_of_steps, name)(value)
            till_of_steps.prove()


class Sequence:
    """A till to which things happen, and the rows that were ever rejected there."""

    def __init__(self, folder):
        self.folder, self.sold, self.met = folder, 0, set()
        self.here = world(folder, held_to(1))

    def limit(self, limit):
        self.here = world(self.folder, held_to(limit))

    def sell(self, sales):
        text = [
            lines(day, amount, first=self.sold + number)
            for number, (day, amount) in enumerate(sales, 1)
        ]
        self.sold += len(sales)
        sell(self.here, f"{self.sold:04}", *text)
        bring_up_to_date(self.here)

    def make(self, day):
        redo(self.here, STAGED, only(day))

    def discard(self, amount):
        give_up(self.here, Choice(where=f"amount = '{amount}'"))

    def replay(self, _):
        replay(self.here, STAGED, now=NOW)

    def restore(self, _):
        if self.here.lake.version(STAGED):
            self.here.lake.open(STAGED).restore(0)
        bring_up_to_date(self.here)

    def prove(self):
        if self.here.lake.open(REJECTS) is None:
            return
        found = self.here.lake.scan(REJECTS).select("_source", "_offset", "_state").collect()
        self.met |= set(found.select("_source", "_offset").rows())
        assert found.height == len(self.met)
        assert sum(states(self.here).values()) == found.height
        landed = origins(self.here)
        assert len(set(landed)) == len(landed)
        gone = set(found.filter(_state="released").select("_source", "_offset").rows())
        assert gone == self.met & set(landed)
        assert set(landed) | self.met == set(origins(self.here, "raw/sales"))


# Killed in the middle

MAKING = [
    "publish: files written",
    "publish: quarantine committed",
    "publish: committed",
    "publish: before files",
    "publish: quarantine committed#2",
]


@pytest.mark.parametrize("point", first(3, MAKING))
def test_a_replay_that_is_killed_and_run_again_lands_each_row_once(strict, point):
    assert run(Path(strict.landing.root).parent, point, json.dumps([[f"replay {STAGED}"]])) == -9
    here = again(strict, till())
    replay(here, STAGED, now=NOW)
    assert states(here) == {"released": 3}
    assert origins(here) == origins(here, "raw/sales")
    assert [
        part for part in here.create_planner().find_stale_tables() if part.table == STAGED
    ] == []


# Dead letters


def with_till_number(**declared):
    """A till that requires a column that the files lack."""
    return catalog_of(
        sales=raw("sales", "Sales.", columns=(*HEADER.split(","), "till"), **declared)
    )


def closes(here, records):
    """Records in the source = raw rows + dead letters that are not released."""
    landed = origins(here, "raw/sales") if here.lake.open("raw/sales") else []
    letters = (
        here.lake.scan(LETTERS)
        .filter(col("_state") != "released", col("_offset").is_not_null())
        .collect()
    )
    return len(set(landed)) == len(landed) and len(landed) + letters.height == records


@pytest.fixture
def refused(tmp_path):
    """A file that was refused whole."""
    here = world(tmp_path, with_till_number())
    sell(here, "a", lines(3, 1, 2), "3,too,short\n")
    take(here)
    assert states(here, LETTERS) == {"open": 1}
    return here


@pytest.mark.parametrize("is_gone", [False, True], ids=["", "and the file is taken away"])
def test_a_refused_file_lands_when_its_declaration_is_mended(refused, is_gone):
    if is_gone:
        (Path(refused.landing.root) / "sales" / "a.csv").unlink()
    here = again(refused, with_till_number(optional=("till",)))
    for _ in range(2):
        done = replay(here, "raw/sales", now=NOW)
        take(here)
    assert (done.released.rows, done.remaining.rows, done.audits) == (0, 1, ())
    assert states(here, LETTERS) == {"released": 1, "open": 1}
    assert closes(here, 3)


def test_a_refused_file_stays_when_nothing_was_mended_and_that_was_a_try(refused):
    done = replay(refused, "raw/sales", now=NOW)
    letter = in_state(refused, LETTERS).row(0, named=True)
    assert (done.remaining.rows, done.released.rows, letter["_tries"]) == (1, 0, 2)
    assert letter["_first_seen_at"] < letter["_last_seen_at"]
    assert refused.lake.open("raw/sales") is None or closes(refused, 0)


def test_a_mended_file_of_the_same_name_settles_the_letter_of_the_refused_one(refused):
    write(refused, "sales", "a.csv", f"{HEADER},till\n1,2024-06-03,north,1,7\n")
    take(refused)
    assert states(refused, LETTERS) == {"superseded": 1}
    assert replay(refused, "raw/sales", now=NOW).remaining.rows == 0
    assert closes(refused, 1)


def test_a_file_that_could_not_be_opened_is_settled_when_it_lands(tmp_path):
    here = world(tmp_path, till())
    folder = Path(here.landing.root) / "sales" / "a.csv"
    folder.mkdir(parents=True)
    take(here)
    folder.rmdir()
    sell(here, "a", lines(3, 1))
    take(here)
    assert states(here, LETTERS) == {"superseded": 1}
    assert closes(here, 1)


@pytest.fixture
def narrow(tmp_path):
    """A file with a record that was too long for the reader."""
    here = world(tmp_path, till())
    sell(
        here,
        "a",
        lines(3, 1),
        f"2,2024-06-03,{'north' * 20},2\n",
        lines(3, 3, first=3),
        "4,too,short\n",
    )
    strict = replace(here.landing, limits=IngestLimits(record_bytes=60))
    take(replace(here, landing=strict))
    assert states(here, LETTERS) == {"open": 2}
    return here


def test_a_record_that_can_be_read_now_lands_with_the_origin_that_it_has_in_its_file(narrow):
    done = replay(narrow, "raw/sales", now=NOW)
    assert (done.released.rows, done.remaining.rows) == (1, 1)
    assert [offset for _, offset in origins(narrow, "raw/sales")] == [1, 2, 3]
    assert len({source for source, _ in origins(narrow, "raw/sales")}) == 1
    assert closes(narrow, 4)


def test_a_record_whose_file_is_gone_stays_and_that_is_said(narrow):
    (Path(narrow.landing.root) / "sales" / "a.csv").unlink()
    rmtree(Path(narrow.lake.root) / "quarantine" / "_files")
    done = replay(narrow, "raw/sales", now=NOW)
    assert (done.released.rows, done.remaining.rows) == (0, 2)
    assert done.notes == (
        "a.csv is no longer in landing, so its dead letters cannot be read again",
    )


def test_a_record_of_a_file_that_has_another_name_now_is_found_by_its_bytes(narrow):
    file = Path(narrow.landing.root) / "sales" / "a.csv"
    os.utime(file.rename(file.with_name("b.csv")), (2e9, 2e9))
    replay(narrow, "raw/sales", now=datetime(2040, 1, 1, tzinfo=UTC))
    assert states(narrow, LETTERS) == {"released": 1, "open": 1}
    assert closes(narrow, 4)


def test_rows_of_a_replayed_file_that_are_rolled_back_come_back(refused):
    sell(refused, "b", "5,2024-06-04,north,1,7\n")
    write(refused, "sales", "b.csv", f"{HEADER},till\n5,2024-06-04,north,1,7\n")
    take(refused)
    here = again(refused, with_till_number(optional=("till",)))
    replay(here, "raw/sales", now=NOW)
    before = origins(here, "raw/sales")
    here.lake.open("raw/sales").restore(0)
    take(here)
    assert (origins(here, "raw/sales"), closes(here, 4)) == (before, True)


def test_rows_of_a_replayed_file_that_lie_nowhere_else_come_back_by_another_replay(refused):
    (Path(refused.landing.root) / "sales" / "a.csv").unlink()
    here = again(refused, with_till_number(optional=("till",)))
    write(here, "sales", "b.csv", f"{HEADER},till\n5,2024-06-04,north,1,7\n")
    take(here)
    replay(here, "raw/sales", now=NOW)
    before = origins(here, "raw/sales")
    here.lake.open("raw/sales").restore(0)
    replay(here, "raw/sales", now=NOW)
    assert (origins(here, "raw/sales"), closes(here, 4)) == (before, True)


def test_a_discarded_dead_letter_is_not_read_again_and_not_told_as_open(refused):
    give_up(refused, Choice(sources=["a.csv"]), table="raw/sales")
    here = again(refused, with_till_number(optional=("till",)))
    assert replay(here, "raw/sales", now=NOW).remaining.rows == 0
    take(here)
    assert states(here, LETTERS) == {"discarded": 1}
    assert here.lake.open("raw/sales") is None or closes(here, 0)


READING = [
    "publish: files written",
    "publish: quarantine committed",
    "publish: committed",
    "publish: committed#2",
    "land: published",
    "publish: files written#2",
]


@pytest.mark.parametrize("point", first(4, READING))
def test_a_replay_of_dead_letters_that_is_killed_and_run_again_lands_each_record_once(
    refused, point
):
    assert run(Path(refused.landing.root).parent, point, json.dumps([["replay raw/sales"]])) == -9
    here = again(refused, till())
    replay(here, "raw/sales", now=NOW)
    assert states(here, LETTERS) == {"released": 1, "open": 1}
    assert closes(here, 3)
    assert sum(audit.written for audit in list_audits(here, "raw/sales")) == 2
