"""What `lakehouse tables` says of files that were refused, and of entries in landing that cannot be read."""

import os
from pathlib import Path

from support.worlds import bring_up_to_date, land_all, write

from lakehouse.observe.overview import list_tables

GOOD = "Date,USD\n2010-12-01,1.31\n"
BAD = b"\xff\xfe\x00"


def state(here) -> str:
    return next(table.state for table in list_tables(here) if table.table == "raw/fx_rates")


def test_refused_files_are_named_among_the_dead_letters(here):
    write(here, "fx_rates", "good.csv", f"{GOOD}2010-12-02,1,2\n")
    for name in "ba":
        write(here, "fx_rates", f"{name}.csv", BAD + name.encode())
    bring_up_to_date(here)
    assert state(here) == "3 dead letters; 2 of them are refused files: a.csv, b.csv"


def test_ten_refused_files_are_named_and_the_others_counted(here):
    for number in range(12):
        write(here, "fx_rates", f"{number:02}.csv", BAD + str(number).encode())
    write(here, "fx_rates", "good.csv", GOOD)
    bring_up_to_date(here)
    assert state(here).startswith("12 dead letters; 12 of them are refused files: 00.csv, 01.csv, ")
    assert state(here).endswith(", 09.csv, and 2 more")


def test_a_table_whose_only_file_was_refused_is_listed(here):
    write(here, "fx_rates", "a\n.csv", BAD)
    land_all(here)
    assert state(here) == r"1 dead letter; it is a refused file: a\n.csv"


def test_links_and_pipes_are_entries_that_cannot_be_read_before_and_after_a_landing(here):
    write(here, "fx_rates", "good.csv", GOOD)
    write(here, "fx_rates", "bad.csv", BAD)
    folder = Path(here.landing.root) / "fx_rates"
    (folder / "link.csv").symlink_to("good.csv")
    os.mkfifo(folder / "pipe.csv")
    told = "2 entries in landing cannot be read: link.csv, pipe.csv"
    assert told in state(here)
    land_all(here)
    assert state(here) == f"{told}; 3 dead letters; 1 of them is a refused file: bad.csv"


def test_a_refused_file_that_was_taken_away_is_named_no_more(here):
    write(here, "fx_rates", "good.csv", GOOD)
    write(here, "fx_rates", "bad.csv", BAD)
    land_all(here)
    (Path(here.landing.root) / "fx_rates" / "bad.csv").unlink()
    land_all(here)
    assert state(here) == "up to date"
