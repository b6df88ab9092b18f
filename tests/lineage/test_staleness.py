"""What is stale: exactly the periods whose inputs changed since they were made, whoever changed them."""

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from support.sizes import first
from support.worlds import NOW, catalog_of, land_all, world, write

from lakehouse.calendar import Daily, Days, Monthly
from lakehouse.environment import Environment
from lakehouse.lineage.staleness import Planner, StaleTable
from lakehouse.observe.overview import list_audits
from lakehouse.storage.revision import Revision
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.transform.make import make

FIRST = date(2024, 1, 1)
DAILY, MONTHLY = Daily(FIRST), Monthly(FIRST)
TEXT_DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)

raw_events = raw("events", "Events.", columns=("day", "n"), day=TEXT_DAY)
raw_rates = raw("rates", "Rates.", columns=("day", "currency", "rate"))
raw_marks = raw("marks", "Marks.", columns=("day", "mark"), day=TEXT_DAY)


class Event(Contract):
    """An event."""

    event_date: date
    n: int

    class Table:
        date_column = "event_date"


class Rate(Contract):
    """A rate that is valid until the next one of its currency."""

    rate_date: date
    currency: str
    rate: float

    class Table:
        key = ("rate_date", "currency")


class Total(Contract):
    """A sum over a period."""

    period: date
    n: int
    lines: pl.Int64 = Field()

    class Table:
        date_column = "period"
        counts = "lines"


class Whole(Contract):
    """A sum over everything."""

    n: int
    lines: pl.Int64 = Field()

    class Table:
        counts = "lines"


def total(events: pl.LazyFrame, *, by: pl.Expr) -> pl.LazyFrame:
    return events.group_by(by.alias("period")).agg(
        n=pl.col("n").sum(), lines=pl.len().cast(pl.Int64)
    )


@staged(Event, partitions=DAILY)
def events(raw_events):
    return cast(raw_events, event_date=TEXT_DAY, n=pl.col("n").cast(pl.Int64, strict=False))


@staged(Rate)
def rates(raw_rates):
    return cast(raw_rates, rate_date=TEXT_DAY, rate=pl.col("rate").cast(pl.Float64, strict=False))


@mart(Total, partitions=DAILY)
def days(events):
    return total(events, by=pl.col("event_date"))


@mart(Total, partitions=DAILY, lookback=2)
def three_days(events):
    return total(events, by=pl.col("event_date"))


@mart(Total, partitions=MONTHLY)
def months(events):
    return total(events, by=pl.col("event_date").dt.month_start())


@mart(Whole)
def whole(events):
    return events.select(n=pl.col("n").sum(), lines=pl.len().cast(pl.Int64))


@mart(Total, partitions=DAILY, as_of={"rates": "rate_date"})
def priced(events, rates):  # noqa: ARG001
    return total(events, by=pl.col("event_date"))


@mart(Total, partitions=DAILY, lookback=2, as_of={"rates": "rate_date"})
def smoothed(events, rates):  # noqa: ARG001
    return total(events, by=pl.col("event_date"))


@mart(Total, partitions=DAILY)
def compared(events, rates):  # noqa: ARG001
    return total(events, by=pl.col("event_date"))


@mart(Total, partitions=DAILY)
def marked(events, raw_marks):  # noqa: ARG001
    return total(events, by=pl.col("event_date"))


CATALOG = catalog_of(
    raw_events=raw_events,
    raw_rates=raw_rates,
    raw_marks=raw_marks,
    events=events,
    rates=rates,
    days=days,
    three_days=three_days,
    months=months,
    whole=whole,
    priced=priced,
    smoothed=smoothed,
    compared=compared,
    marked=marked,
)


def day(number: int) -> date:
    return date.fromordinal(FIRST.toordinal() + number)


def lines(numbers) -> str:
    return "day,n\n" + "".join(f"{day(n)},1\n" for n in numbers)


def quotes(**by_day: float) -> str:
    return "day,currency,rate\n" + "".join(
        f"{day(int(n[1:]))},GBP,{rate}\n" for n, rate in by_day.items()
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lake in which days 0 to 9 and 40 are made, and rates are known from days 0, 3 and 6."""
    folder = tmp_path_factory.mktemp("made")
    here = world(folder, CATALOG)
    write(here, "events", "a.csv", lines([*range(10), 40]))
    write(here, "rates", "a.csv", quotes(d0=1, d3=2, d6=3))
    write(here, "marks", "a.csv", f"day,mark\n{day(2)},x\n")
    land_all(here)
    for table in CATALOG.derived_tables:
        make(here.lake, CATALOG, table.name, now=NOW)
    return folder


@pytest.fixture
def here(made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return world(tmp_path, CATALOG)


def stale(here: Environment, table: str, since=None) -> StaleTable | None:
    return Planner(here.lake, CATALOG, NOW, since or {}).find_stale_part(CATALOG[table])


def numbers(part: StaleTable | None) -> list[int]:
    """The stale days as numbers."""
    return [] if part is None else [(key - FIRST).days for key in part.keys]


def deliver(here: Environment, numbers, name: str = "b.csv") -> None:
    write(here, "events", name, lines(numbers))
    land_all(here)


def remake(here: Environment, table: str) -> None:
    make(here.lake, CATALOG, table, now=NOW)


def rates_become(here: Environment, **by_day: float) -> None:
    """Delivers and stages the rates again; the later delivery wins."""
    write(here, "rates", "b.csv", quotes(**by_day))
    land_all(here)
    remake(here, "staged/rates")


def forget(here: Environment, table: str) -> None:
    """Clean the log of a table up to its last version."""
    handle = here.lake.open(table)
    handle.create_checkpoint()
    for entry in sorted((Path(here.lake.uri(table)) / "_delta_log").glob("*.json"))[
        : handle.version()
    ]:
        entry.unlink()


def without(here: Environment, table: str, *place: str) -> None:
    """Rewrites the log of a table as earlier versions of this software wrote it: without a part of its audits."""
    for entry in (Path(here.lake.uri(table)) / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for told in (action["commitInfo"]["audit"] for action in actions if "commitInfo" in action):
            for name in place[:-1]:
                told = told[name]  # noqa: PLW2901
            del told[place[-1]]
        entry.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def drop_old_files(here: Environment, table: str) -> None:
    """Deletes the data files that only older versions of a table use."""
    here.lake.open(table).vacuum(0, dry_run=False, enforce_retention_duration=False)


def test_nothing_is_stale_when_everything_is_made(here):
    assert here.create_planner().find_stale_tables() == []


def test_an_empty_lake_has_nothing_stale(tmp_path):
    assert world(tmp_path, CATALOG).create_planner().find_stale_tables() == []


def test_a_new_commit_makes_exactly_its_days_stale(here):
    deliver(here, [2, 3, 7])
    assert stale(here, "staged/events") == StaleTable(
        "staged/events", (day(2), day(3), day(7)), (Days(day(2), day(3)), Days(day(7), day(7)))
    )


def test_days_that_the_input_does_not_hold_do_not_part_neighbours(here):
    deliver(here, [9, 40, 50])
    assert stale(here, "staged/events").spans == (Days(day(9), day(50)),)


def test_readers_are_stale_only_when_what_they_read_is_made(here):
    deliver(here, [2])
    assert [part.table for part in here.create_planner().find_stale_tables()] == ["staged/events"]


@pytest.fixture
def one_day(here):
    """Rebuilds day 2 of the staged events."""
    deliver(here, [2])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    return here


def test_a_made_day_reaches_the_periods_that_see_it(one_day):
    names = ("days", "three_days", "months", "priced", "whole")
    parts = {name: stale(one_day, f"marts/{name}") for name in names}
    assert None not in parts.values()
    assert {name: numbers(part) for name, part in parts.items()} == {
        "days": [2],
        "three_days": [2, 3, 4],
        "months": [0],
        "priced": [2],
        "whole": [],
    }


def test_a_part_that_is_made_again_is_no_longer_stale(one_day):
    make(one_day.lake, CATALOG, "marts/three_days", Days(day(2), day(3)), now=NOW)
    assert numbers(stale(one_day, "marts/three_days")) == [4]


def test_a_hint_about_what_is_in_order_changes_nothing(here):
    since = {name: here.lake.revision(name) for name in here.lake.tables()}
    deliver(here, [2, 8])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    for name in ("days", "three_days", "months", "priced", "events"):
        table = f"staged/{name}" if name == "events" else f"marts/{name}"
        assert stale(here, table, since) == stale(here, table)
        assert stale(here, table) is not None


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"d3": 2.5}, [3, 4, 5]),
        ({"d0": 9}, [0, 1, 2]),
        ({"d6": 9}, [6, 7, 8, 9, 40]),
        ({"d4": 9}, [4, 5]),
        ({"d20": 9}, [40]),
        ({"d3": 2}, []),
        ({"d0": 9, "d6": 9}, [0, 1, 2, 6, 7, 8, 9, 40]),
    ],
)
@pytest.mark.parametrize("noted", first(1, [True, False]))
def test_a_dated_row_makes_stale_the_days_in_which_it_holds(here, change, found, noted):
    rates_become(here, **change)
    if not noted:
        without(here, "staged/rates", "changed")
    assert numbers(stale(here, "marts/priced")) == found


def test_a_dated_row_reaches_the_days_that_look_back_on_those_in_which_it_holds(here):
    rates_become(here, d3=2.5)
    assert numbers(stale(here, "marts/smoothed")) == [3, 4, 5, 6, 7]


def test_a_dated_row_that_is_taken_away_makes_stale_the_days_in_which_it_held(here):
    here.lake.open("staged/rates").delete("rate = 2.0")
    assert numbers(stale(here, "marts/priced")) == [3, 4, 5]


def test_a_dated_row_holds_until_the_next_of_its_own_series(here):
    write(here, "rates", "b.csv", f"day,currency,rate\n{day(1)},USD,1\n")
    land_all(here)
    remake(here, "staged/rates")
    assert numbers(stale(here, "marts/priced")) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 40]


@pytest.mark.parametrize("times", first(1, [2, 1, 5]))
def test_a_dated_table_tells_what_it_changed_without_its_older_versions(here, times):
    for _ in range(times):
        rates_become(here, d3=2.5)
    drop_old_files(here, "staged/rates")
    assert numbers(stale(here, "marts/priced")) == [3, 4, 5]
    assert [audit.changed for audit in list_audits(here, "staged/rates")][1:] == [
        {"rate_date": (Days(day(3), day(5)),)},
        *[{"rate_date": ()}] * (times - 1),
    ]


def test_a_dated_table_whose_columns_change_their_type_changes_every_day(here):
    class Rate(Contract):
        """A rate in whole numbers."""

        rate_date: date
        currency: str
        rate: int

        class Table:
            key = ("rate_date", "currency")

    @staged(Rate)
    def rates(raw_rates):
        return cast(raw_rates, rate_date=TEXT_DAY, rate=pl.col("rate").cast(pl.Int64, strict=False))

    changed = catalog_of(
        **{name.replace("raw/", "raw_").split("/")[-1]: t for name, t in CATALOG.tables.items()}
        | {"rates": rates}
    )
    make(here.lake, changed, "staged/rates", now=NOW)
    assert numbers(stale(here, "marts/priced")) == [*range(10), 40]


def test_what_another_program_changed_in_a_dated_table_without_leaving_the_old_files_is_every_day(
    here,
):
    here.lake.open("staged/rates").delete("rate = 2.0")
    drop_old_files(here, "staged/rates")
    assert numbers(stale(here, "marts/priced")) == [*range(10), 40]


def test_without_all_of_the_log_of_a_dated_table_every_day_is_stale(here):
    rates_become(here, d3=2.5)
    rates_become(here, d4=2.5)
    forget(here, "staged/rates")
    assert numbers(stale(here, "marts/priced")) == [*range(10), 40]


def test_a_table_that_nobody_reads_by_date_notes_no_changed_days(here):
    assert [audit.changed for audit in list_audits(here, "staged/events")] == [{}]


def test_a_table_without_days_that_is_read_whole_makes_every_day_stale(here):
    rates_become(here, d3=2.5)
    assert numbers(stale(here, "marts/compared")) == [*range(10), 40]


def test_a_raw_table_beside_the_first_input_makes_every_day_stale(here):
    write(here, "marks", "b.csv", f"day,mark\n{day(5)},y\n")
    land_all(here)
    assert numbers(stale(here, "marts/marked")) == [*range(10), 40]


@pytest.mark.parametrize(
    "audit", [{}, {"table": "staged/events"}, {"materialized": "all"}, 7, "none", [1]]
)
def test_a_commit_whose_audit_cannot_be_read_is_one_of_another_program(here, audit):
    here.lake.open("staged/events").delete(f"n = 1 AND event_date = DATE '{day(4)}'")
    entry = Path(here.lake.uri("staged/events")) / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for info in (action["commitInfo"] for action in actions if "commitInfo" in action):
        info["audit"] = audit
    entry.write_text("".join(f"{json.dumps(action)}\n" for action in actions))
    assert stale(here, "staged/events") is None
    assert 4 not in numbers(stale(here, "marts/days"))
    assert [one.version for one in list_audits(here, "staged/events")] == [0]


def foreign(here: Environment, days, **options) -> None:
    """Appends raw rows as another program does."""
    some = here.lake.scan("raw/events").head(1).drop("_event_date", "day").collect()
    rows = pl.DataFrame({"_event_date": days}, schema={"_event_date": pl.Date}).join(
        some, how="cross"
    )
    rows = rows.with_columns(day=pl.col("_event_date").cast(pl.String))
    write_deltalake(here.lake.uri("raw/events"), rows, mode="append", **options)


@pytest.mark.parametrize("found", [[4], [4, 6]])
def test_rows_of_another_program_are_seen(here, found):
    foreign(here, [day(n) for n in found])
    assert numbers(stale(here, "staged/events")) == found


@pytest.mark.parametrize("strange", [None, date(2023, 12, 31), date(9999, 1, 1), date(1, 1, 1)])
def test_a_row_without_a_day_of_the_table_belongs_to_the_first_day(here, strange):
    foreign(here, [strange, day(5)])
    assert numbers(stale(here, "staged/events")) == [0, 5]


def test_a_day_beyond_every_calendar_belongs_to_the_first_day(here):
    write(here, "events", "b.csv", f"day,n\n-001-05-05,1\n{day(5)},1\n")
    land_all(here)
    assert numbers(stale(here, "staged/events")) == [0, 5]


def test_days_of_the_future_wait_with_the_first_day(here):
    deliver(here, [3000])
    assert numbers(stale(here, "staged/events")) == [0]


def test_a_compaction_makes_nothing_stale(here):
    deliver(here, [2])
    for table in CATALOG.derived_tables:
        remake(here, table.name)
    for table in ("raw/events", "staged/events", "staged/rates"):
        here.lake.open(table).optimize.compact()
    assert here.create_planner().find_stale_tables() == []


def test_a_restored_input_makes_stale_what_was_undone(here):
    deliver(here, [2, 7])
    remake(here, "staged/events")
    here.lake.open("raw/events").restore(0)
    assert numbers(stale(here, "staged/events")) == [2, 7]


def test_a_table_that_was_restored_and_put_back_is_as_it_was(here):
    deliver(here, [2, 7])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(7)), now=NOW)
    here.lake.open("staged/events").restore(0)
    here.lake.open("staged/events").restore(1)
    assert stale(here, "staged/events") is None
    here.lake.open("staged/events").restore(2)
    assert numbers(stale(here, "staged/events")) == [2, 7]


@pytest.mark.parametrize("hinted", [False, True])
def test_a_restored_table_is_behind_its_inputs_again(here, hinted):
    since = {name: here.lake.revision(name) for name in here.lake.tables()} if hinted else {}
    deliver(here, [2, 7])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(7)), now=NOW)
    here.lake.open("staged/events").restore(0)
    assert numbers(stale(here, "staged/events", since)) == [2, 7]


def test_a_table_restored_to_before_the_hint_is_looked_at_from_the_start(here):
    deliver(here, [2, 7])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(7)), now=NOW)
    since = {name: here.lake.revision(name) for name in here.lake.tables()}
    here.lake.open("staged/events").restore(0)
    assert {2, 7} <= set(numbers(stale(here, "staged/events", since)))


def test_periods_that_are_not_found_in_what_is_left_of_the_log_are_stale(here):
    deliver(here, [2])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    forget(here, "staged/events")
    assert numbers(stale(here, "staged/events")) == [0, 1, *range(3, 10), 40]


def test_what_was_cleaned_up_before_everything_was_made_does_not_matter(here):
    deliver(here, [2])
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    forget(here, "raw/events")
    assert stale(here, "staged/events") is None


def test_what_was_cleaned_up_after_a_period_was_made_may_have_changed_it(here):
    deliver(here, [2])
    deliver(here, [3], "c.csv")
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(3)), now=NOW)
    forget(here, "raw/events")
    assert numbers(stale(here, "staged/events")) == [0, 1, *range(4, 10), 40]


def test_a_whole_table_is_stale_only_when_no_commit_of_its_own_is_left_that_made_it(here):
    remake(here, "marts/whole")
    forget(here, "marts/whole")
    assert stale(here, "marts/whole") is None
    here.lake.open("marts/whole").alter.set_table_properties({"delta.appendOnly": "false"})
    forget(here, "marts/whole")
    assert stale(here, "marts/whole") == StaleTable("marts/whole")


def make_all_once(here: Environment) -> None:
    """Rebuilds every stale part once, inputs before their readers."""
    for table in CATALOG.derived_tables:
        part = stale(here, table.name)
        for days in (part.spans or (None,)) if part else ():
            make(here.lake, CATALOG, table.name, days, now=NOW)


@pytest.mark.parametrize("when", first(1, [date(2024, 1, 3), date(2024, 2, 9)]))
def test_after_one_round_nothing_is_stale_though_logs_were_cleaned_up(here, when):
    for number in (2, 3):
        deliver(here, [number], f"{number}.csv")
        rates_become(here, **{f"d{number}": 7})
        make(here.lake, CATALOG, "staged/events", Days(day(number), day(number)), now=NOW)
    make(here.lake, CATALOG, "marts/days", Days(when, when), now=NOW)
    for table in here.lake.tables():
        forget(here, table)
    make_all_once(here)
    assert here.create_planner().find_stale_tables() == []


def restored_beyond_its_log(here: Environment) -> None:
    """Makes day 2 of the staged events twice, then restores a version that is no longer in the log."""
    for _ in range(2):
        make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    here.lake.open("staged/events").restore(1)
    forget(here, "staged/events")


def test_a_table_that_was_restored_to_before_what_is_left_of_its_log_is_stale_until_it_is_made(
    here,
):
    restored_beyond_its_log(here)
    assert numbers(stale(here, "staged/events")) == [*range(10), 40]
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(40)), now=NOW)
    assert numbers(stale(here, "staged/events")) == [0, 1]
    make_all_once(here)
    assert here.create_planner().find_stale_tables() == []


def test_a_table_that_was_restored_to_a_time_is_stale_until_it_is_made(here):
    at = datetime.now(UTC)
    make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    here.lake.open("staged/events").restore(at)
    assert numbers(stale(here, "staged/events")) == [*range(10), 40]
    make_all_once(here)
    assert here.create_planner().find_stale_tables() == []


def rebuild(here: Environment, table: str, times: int = 1) -> None:
    """Delete a table by hand and make it again."""
    shutil.rmtree(here.lake.uri(table))
    for _ in range(times):
        remake(here, table)


def test_a_table_that_was_built_again_below_what_was_consumed_makes_its_readers_stale(here):
    remake(here, "staged/events")
    remake(here, "marts/days")
    rebuild(here, "staged/events")
    assert numbers(stale(here, "marts/days")) == [*range(10), 40]
    make_all_once(here)
    assert here.create_planner().find_stale_tables() == []


def test_a_table_that_was_built_again_beyond_what_was_consumed_makes_its_readers_stale(here):
    deliver(here, [2])
    rebuild(here, "staged/events", times=3)
    assert numbers(stale(here, "marts/days")) == [*range(10), 40]
    assert stale(here, "marts/whole") == StaleTable("marts/whole")
    make_all_once(here)
    assert here.create_planner().find_stale_tables() == []


@pytest.mark.parametrize("rebuilt", ["staged/events", "marts/days"])
def test_a_hint_about_a_table_that_was_built_again_hides_nothing(here, rebuilt):
    remake(here, "staged/events")
    remake(here, "marts/days")
    since = {name: here.lake.revision(name) for name in here.lake.tables()}
    deliver(here, [2])
    rebuild(here, "staged/events")
    if rebuilt == "marts/days":
        shutil.rmtree(here.lake.uri(rebuilt))
    assert numbers(stale(here, "marts/days", since)) == [*range(10), 40]


def test_a_hint_about_a_table_that_was_built_again_beyond_it_hides_nothing(here):
    since = {name: here.lake.revision(name) for name in here.lake.tables()}
    deliver(here, [5])
    rebuild(here, "staged/events")
    for _ in range(here.lake.version("marts/days") + 1):
        make(here.lake, CATALOG, "staged/events", Days(day(2), day(2)), now=NOW)
    assert here.lake.version("staged/events") >= since["staged/events"].version
    assert 5 in numbers(stale(here, "marts/days", since))


@pytest.mark.parametrize("hint", [Revision(0, ""), Revision(0, "y"), Revision(99, "y")])
def test_a_hint_about_another_table_hides_nothing(here, hint):
    since = dict.fromkeys(here.lake.tables(), hint)
    deliver(here, [2])
    assert stale(here, "staged/events", since) == stale(here, "staged/events")
    assert stale(here, "staged/events") is not None


def test_a_hint_from_before_a_table_was_first_made_does_not_hide_it(here):
    since = {name: here.lake.revision(name) for name in here.lake.tables() if name != "marts/days"}
    shutil.rmtree(here.lake.uri("marts/days"))
    assert numbers(stale(here, "marts/days", since)) == [*range(10), 40]


def test_a_hint_spares_the_log_that_is_gone(here):
    deliver(here, [2])
    since = {"raw/events": Revision(0, str(here.lake.open("raw/events").metadata().id))}
    forget_until = Path(here.lake.uri("raw/events")) / "_delta_log" / f"{0:020}.json"
    here.lake.open("raw/events").create_checkpoint()
    forget_until.unlink()
    assert numbers(stale(here, "staged/events", since)) == [2]


def test_a_day_that_was_refused_stays_stale(here):
    write(here, "events", "b.csv", f"day,n\n{day(3)},broken\n")
    land_all(here)
    assert numbers(stale(here, "staged/events")) == [3]
    assert numbers(stale(here, "staged/events")) == [3]


def test_a_deleted_day_is_never_made_from_nothing(here):
    here.lake.open("raw/events").delete(f"day = '{day(5)}'")
    assert 5 not in numbers(stale(here, "staged/events"))


def test_a_table_that_was_never_made_is_stale_in_every_day(here):
    shutil.rmtree(here.lake.uri("marts/days"))
    assert numbers(stale(here, "marts/days")) == [*range(10), 40]


def test_the_first_day_is_a_day_like_others(here):
    deliver(here, [0])
    assert numbers(stale(here, "staged/events")) == [0]


def test_the_present_decides_which_days_there_are(here):
    before = Planner(here.lake, CATALOG, datetime(2024, 1, 5, tzinfo=UTC))
    shutil.rmtree(here.lake.uri("marts/days"))
    assert numbers(before.find_stale_part(CATALOG["marts/days"])) == [0, 1, 2, 3, 4]
