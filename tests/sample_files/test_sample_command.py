"""The command line, and the numbers of invoices."""

import json
import subprocess
import sys
from datetime import date, timedelta
from itertools import chain, pairwise
from pathlib import Path

import pytest

from samples import generate, generate_latest
from samples.__main__ import main
from samples.days import Run
from samples.retail import add_days
from samples.shop import open_shop

MAKE = ["--start", "2010-12-01", "--out"]
TUESDAY = date(2026, 12, 1)


def test_it_prints_the_truth_as_an_aligned_table(tmp_path, capsys):
    assert main([*MAKE, str(tmp_path), "--days", "3", "--rows", "50"]) == 0
    printed = capsys.readouterr().out.splitlines()
    counts = [line for line in printed if line.startswith("  ")]
    assert [line for line in printed if line not in counts] == ["invoice_lines", "fx_rates"]
    assert len({len(line) for line in counts[: printed.index("fx_rates") - 1]}) == 1


def test_it_prints_the_truth_as_json(made, tmp_path, capsys):
    main([*MAKE, str(tmp_path), "--json"])
    truth = json.loads(capsys.readouterr().out)
    assert truth == made.truth.as_json()
    assert (
        truth["invoice_lines"]["by_file"]["sample-2010-12-01.csv.gz"]["dirt"]["repeated_lines"] > 0
    )
    assert (
        truth["invoice_lines"]["rows_by_day"].keys() == made.truth.invoice_lines.rows_by_day.keys()
    )


def test_the_truth_is_not_written_next_to_the_files(tmp_path):
    main([*MAKE, str(tmp_path), "--days", "1", "--rows", "20", "--json"])
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == [
        "fx_rates/sample-eurofxref-hist.zip",
        "invoice_lines/sample-2010-12-01.csv.gz",
    ]


def test_it_tells_of_files_that_the_truth_does_not_count(tmp_path, capsys):
    main([*MAKE, str(tmp_path), "--days", "3", "--rows", "20"])
    main([*MAKE, str(tmp_path), "--days", "2", "--rows", "20"])
    assert (
        capsys.readouterr().err
        == "Not counted, from another run: 1 files, first sample-2010-12-03.csv.gz\n"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        ["--days", "0"],
        ["--rows", "0"],
        ["--rows", "2000000"],
        ["--start", "soon"],
        ["--domain", "x"],
    ],
)
def test_it_refuses_what_it_cannot_make(tmp_path, capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        main(["--out", str(tmp_path / "landing"), *wrong])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "landing").exists()


def test_it_runs_as_a_module(tmp_path):
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "samples",
        *MAKE,
        str(tmp_path),
        "--days",
        "1",
        "--rows",
        "5",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("invoice_lines\n")
    assert done.stderr == ""


def test_a_day_that_is_added_is_the_one_that_a_longer_run_has(tmp_path):
    generate(tmp_path / "added", days=10)
    added = add_days(tmp_path / "added", 2)  # 11 December 2010 is a Saturday
    generate(tmp_path / "longer", days=13)
    names = ["invoice_lines/sample-2010-12-12.csv.gz", "invoice_lines/sample-2010-12-13.csv.gz"]
    names.append("fx_rates/sample-eurofxref-hist.zip")
    assert added == [str(tmp_path / "added" / name) for name in names]
    for path in (tmp_path / "longer").rglob("sample-*"):
        assert (
            tmp_path / "added" / path.relative_to(tmp_path / "longer")
        ).read_bytes() == path.read_bytes()


def test_the_first_day_that_is_added_to_nothing_is_the_first_day(tmp_path):
    assert add_days(tmp_path)[0].endswith("sample-2010-12-01.csv.gz")


def list_days(folder: Path) -> list[str]:
    return sorted(path.name[7:17] for path in folder.glob("invoice_lines/sample-*"))


def test_the_latest_samples_leave_the_file_of_the_last_day_to_the_next_delivery(tmp_path):
    generate_latest(tmp_path, TUESDAY, rows=5)
    assert (list_days(tmp_path)[0], list_days(tmp_path)[-1]) == ("2026-10-01", "2026-11-29")
    added = add_days(tmp_path, 5, today=TUESDAY, rows=5)
    assert [Path(path).name[7:17] for path in added[:-1]] == ["2026-11-30"]
    assert add_days(tmp_path, today=TUESDAY) == []


@pytest.mark.parametrize("weekday", range(7))
def test_on_each_day_of_the_week_the_latest_samples_are_fresh_and_one_file_is_left(
    tmp_path, weekday
):
    today = TUESDAY + timedelta(days=weekday)
    generate_latest(tmp_path, today, days=10, rows=5)
    last = date.fromisoformat(list_days(tmp_path)[-1])
    assert timedelta(days=2) <= today - last <= timedelta(days=3)
    assert len(add_days(tmp_path, 9, today=today, rows=5)) == 2


def test_what_is_added_to_the_latest_samples_is_what_a_run_from_their_first_day_holds(tmp_path):
    generate_latest(tmp_path / "added", TUESDAY, days=10, rows=20)
    first, *_ = list_days(tmp_path / "added")
    add_days(tmp_path / "added", today=TUESDAY, rows=20)
    generate(tmp_path / "whole", days=11, rows=20, start=date.fromisoformat(first))
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").rglob("sample-*")}
    assert whole == {
        path.name: path.read_bytes() for path in (tmp_path / "added").rglob("sample-*")
    }


def test_days_that_are_added_to_nothing_are_the_latest_ones(tmp_path):
    add_days(tmp_path, 3, today=TUESDAY, rows=5)
    assert list_days(tmp_path) == ["2026-11-27", "2026-11-29", "2026-11-30"]


def test_files_that_were_delivered_and_taken_away_are_not_made_again(tmp_path):
    known = ["invoice_lines/sample-2026-11-27.csv.gz", "fx_rates/sample-eurofxref-hist.zip"]
    add_days(tmp_path, 3, known=known, today=TUESDAY, rows=5)
    assert list_days(tmp_path) == ["2026-11-29", "2026-11-30"]


@pytest.mark.parametrize("rows", [1, 2000, 400_000])
def test_invoice_numbers_have_six_digits_and_start_again_late(rows):
    run = Run(days=12, rows=rows, seed=1, start=date(2010, 12, 1))
    numbers = list(chain.from_iterable((day.number(0), day.number(-1)) for day in run.open_days()))
    assert all(100_000 <= number <= 999_999 for number in numbers)
    assert len(numbers) == len(set(numbers)) or rows > 100_000


def test_the_numbers_of_two_days_never_mix():
    run = Run(days=60, rows=400, seed=7, start=date(2010, 12, 1))
    ranges = [(day.number(0), day.number(-1)) for day in run.open_days()]
    assert all(last < first for (_, last), (first, _) in pairwise(ranges))


@pytest.mark.parametrize("rows", [1, 10, 100, 1000])
def test_a_day_uses_no_more_numbers_than_it_has(rows):
    run = Run(days=60, rows=rows, seed=7, start=date(2010, 12, 1))
    used = [
        len(open_shop(day)) + rows // 10 for day in run.open_days()
    ]  # and some for what comes late
    assert max(used) < run.block
