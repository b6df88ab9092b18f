"""A bad file is named and kept, the good files next to it land completely, and the lake loses nothing."""

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from bad_files import (
    BAD,
    HEADER,
    PARTLY,
    REFUSED,
    TOLERATED,
    UNREADABLE,
    Bad,
    invoice,
    line,
    parquet,
)
from lesser_rights import permissions_count
from support.sizes import first, full
from support.worlds import bring_up_to_date, contents, land_all, world, write

from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.ingest.land import LandResult, News, read_news
from lakehouse.observe import overview
from lakehouse.orchestration.metadata import build_readable_result
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.wording import format_count

RAW = "raw/invoice_lines"
GOOD = {"a-good.csv": "2010-12-01", "z-good.csv": "2010-12-02"}


@dataclass(frozen=True)
class Tried:
    """The result of landing a bad file, alone or between two good ones."""

    bad: Bad
    good: int
    here: Environment
    report: LandResult


def put(here: Environment, *bad: Bad) -> Path:
    folder = Path(here.landing.root) / "invoice_lines"
    folder.mkdir(exist_ok=True)
    for one in bad:
        one.put(folder / one.name)
    return folder


def land_now(here: Environment) -> LandResult:
    with permissions_count():
        return land_all(here)[RAW]


def news_now(here: Environment) -> News:
    with permissions_count():
        return read_news(here.lake, here.landing, here.catalog[RAW])


def rows(here: Environment, name: str) -> int:
    if here.lake.version(RAW) is None:
        return 0
    return (
        here.lake.scan(RAW).filter(pl.col("_source").str.starts_with(f"{name}#")).collect().height
    )


def dead_letters(here: Environment) -> pl.DataFrame:
    return here.lake.scan(DEAD_LETTERS).sort("_source", "_offset").collect()


def versions(here: Environment) -> dict[str, int | None]:
    return {name: here.lake.version(name) for name in here.lake.tables()}


def states(here: Environment) -> dict[str, str]:
    return {state.table: state.state for state in overview.list_tables(here)}


def said(report: LandResult) -> list[str]:
    return [*report.refused, *(note for audit in report.audits for note in audit.notes)]


@pytest.fixture(
    scope="module",
    params=[*((bad, 2) for bad in BAD), (BAD[0], 0), *(full((bad, 0)) for bad in BAD[1:])],
    ids=lambda case: f"{case[0].name}-{'among-good-ones' if case[1] else 'alone'}",
)
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    bad, good = request.param
    here = world(tmp_path_factory.mktemp("bad"))
    put(here, bad)
    for name, day in list(GOOD.items())[:good]:
        write(here, "invoice_lines", name, invoice(1, 2, 3, day=day))
    return Tried(bad, good, here, land_now(here))


def test_the_good_files_land_completely(tried: Tried) -> None:
    assert [rows(tried.here, name) for name in list(GOOD)[: tried.good]] == [3] * tried.good


def test_the_good_records_of_a_bad_file_land(tried: Tried) -> None:
    assert rows(tried.here, tried.bad.name) == tried.bad.rows


def test_the_report_names_the_file_and_what_is_wrong(tried: Tried) -> None:
    assert any(
        text.startswith(f"{tried.bad.name}: ") and tried.bad.said in text
        for text in said(tried.report)
    )


def test_dead_letters_have_the_reason_and_the_place(tried: Tried) -> None:
    dead = dead_letters(tried.here)
    first = dead.row(0, named=True)
    assert dead.height == tried.bad.dead
    assert (tried.bad.reason in first["reason"], first["place"]) == (True, tried.bad.place)
    assert first["_source"].startswith(f"{tried.bad.name}#")


def test_the_books_of_the_commit_close(tried: Tried) -> None:
    [audit] = tried.report.audits
    assert (audit.written, audit.dead_letters) == (3 * tried.good + tried.bad.rows, tried.bad.dead)
    assert audit.read == audit.accounted_rows


def test_the_list_of_tables_counts_the_dead_letters(tried: Tried) -> None:
    assert format_count(tried.bad.dead, "dead letter") in states(tried.here)[RAW]


def test_the_dagster_check_fails_as_a_warning(tried: Tried) -> None:
    result = build_readable_result(tried.here.lake, tried.here.catalog[RAW], tried.report)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_landing_again_changes_nothing(tried: Tried) -> None:
    before = versions(tried.here)
    land_now(tried.here)
    assert versions(tried.here) == before


def test_the_file_is_not_asked_for_for_ever(tried: Tried) -> None:
    assert news_now(tried.here).ready == ()


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.name)
def test_a_refused_file_is_kept_byte_for_byte(here: Environment, bad: Bad) -> None:
    content = (put(here, bad) / bad.name).read_bytes()
    land_now(here)
    assert dead_letters(here)["payload"].to_list() == [content]


@pytest.mark.parametrize("name", TOLERATED)
def test_a_file_that_is_only_unusual_lands_completely_with_a_note(
    here: Environment, name: str
) -> None:
    content, note = TOLERATED[name]
    write(here, "invoice_lines", name, content)
    report = land_now(here)
    assert rows(here, name) == 2
    assert said(report) == [f"{name}: {note}"]
    assert here.lake.scan(RAW).collect()["InvoiceNo"].str.len_chars().to_list() == [6, 6]


@pytest.mark.parametrize("name", TOLERATED)
def test_the_dagster_check_of_an_unusual_file_passes(here: Environment, name: str) -> None:
    write(here, "invoice_lines", name, TOLERATED[name][0])
    assert build_readable_result(here.lake, here.catalog[RAW], land_now(here)).passed
    assert here.lake.version(DEAD_LETTERS) is None


def of_other_days(here: Environment) -> dict[str, pl.DataFrame]:
    """The rows of the lake before the end of December 2010, and of customers that no bad file names."""
    early = {
        "staged/fx_rates": pl.lit(True),
        "staged/invoice_lines": pl.col("invoice_date") < pl.date(2011, 1, 1),
        "marts/daily_sales": pl.col("sales_date") < pl.date(2011, 1, 1),
        "marts/product_months": pl.col("month") < pl.date(2011, 1, 1),
        "marts/customers": pl.col("customer_id") < 17820,
    }
    return {name: _told(here.lake.scan(name).filter(which)) for name, which in early.items()}


def _told(lf: pl.LazyFrame) -> pl.DataFrame:
    names = [
        n for n in lf.collect_schema().names() if not n.startswith("_") and n != "recency_days"
    ]
    return lf.select(names).collect().sort(names)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A lake with two days of sales."""
    here = world(tmp_path_factory.mktemp("standing"))
    write(here, "fx_rates", "fx.csv", "Date,USD,GBP\n2010-12-01,1.31,0.84\n2010-12-02,1.32,0.85\n")
    for day in ("2010-12-01", "2010-12-02"):
        write(here, "invoice_lines", f"{day}.csv", invoice(1, 2, 3, day=day))
    bring_up_to_date(here)
    return here


def test_bad_files_remove_nothing_from_the_lake(standing: Environment) -> None:
    before = of_other_days(standing)
    put(standing, *BAD)
    for file in (Path(standing.landing.root) / "invoice_lines").iterdir():
        if file.name in {bad.name for bad in PARTLY}:
            file.write_bytes(file.read_bytes().replace(b"2010-12", b"2011-01"))
    with permissions_count():
        bring_up_to_date(standing)
    after = of_other_days(standing)
    assert all(after[name].equals(before[name]) for name in before)
    assert standing.lake.scan("staged/invoice_lines").collect().height == 6 + sum(
        bad.rows for bad in BAD
    )


def test_a_refused_file_makes_nothing_stale(here: Environment) -> None:
    write(here, "invoice_lines", "good.csv", invoice(1, 2))
    bring_up_to_date(here)
    before = contents(here), here.lake.version("staged/invoice_lines")
    put(here, *REFUSED)
    bring_up_to_date(here)
    assert (contents(here), here.lake.version("staged/invoice_lines")) == before


def test_dagster_lands_the_good_files_and_warns_of_the_bad_ones(here: Environment) -> None:
    put(here, *BAD)
    write(here, "invoice_lines", "good.csv", invoice(1, 2))
    with permissions_count(), dg.DagsterInstance.ephemeral() as instance:
        job = definitions(here).resolve_implicit_global_asset_job_def()
        run = job.execute_in_process(
            asset_selection=[dg.AssetKey(["raw", "invoice_lines"])], instance=instance
        )
    [check] = run.get_asset_check_evaluations()
    assert run.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert all(bad.name in check.metadata["refused_files"].value for bad in (*REFUSED, *UNREADABLE))
    assert rows(here, "good.csv") == 2


def test_a_file_lands_once_it_may_be_read(here: Environment) -> None:
    [forbidden] = [bad for bad in UNREADABLE if bad.name == "forbidden.csv"]
    folder = put(here, forbidden)
    land_now(here)
    (folder / "forbidden.csv").chmod(0o644)
    assert [entry.name for entry in news_now(here).ready] == ["forbidden.csv"]
    land_now(here)
    assert rows(here, "forbidden.csv") == 1


def test_a_file_that_could_be_read_at_last_is_no_open_matter(here: Environment) -> None:
    [forbidden] = [bad for bad in UNREADABLE if bad.name == "forbidden.csv"]
    folder = put(here, forbidden)
    land_now(here)
    assert "1 dead letter" in states(here)[RAW]
    (folder / "forbidden.csv").chmod(0o644)
    land_now(here)
    assert states(here)[RAW] == "up to date"
    assert dead_letters(here).height == 1


@pytest.mark.parametrize("bad", first(2, REFUSED), ids=lambda bad: bad.name)
def test_a_refused_file_that_is_delivered_again_mended_is_no_open_matter(
    here: Environment, bad: Bad
) -> None:
    folder = put(here, bad)
    land_now(here)
    land_now(here)
    assert states(here)[RAW] == f"1 dead letter; it is a refused file: {bad.name}"
    (folder / bad.name).write_bytes(
        parquet() if bad.name.endswith("parquet") else zipped_or_plain(bad.name)
    )
    land_now(here)
    assert states(here)[RAW] == "up to date"
    assert dead_letters(here).height == 1


def zipped_or_plain(name: str) -> bytes:
    return gzip.compress(invoice(1, 2)) if name.endswith("gz") else invoice(1, 2)


def test_a_refused_file_that_is_delivered_again_refused_is_one_open_matter(
    here: Environment,
) -> None:
    write(here, "invoice_lines", "a.csv", b"")
    land_now(here)
    write(here, "invoice_lines", "a.csv", b"a,b\n1,2\n")
    land_now(here)
    told = "1 dead letter; it is a refused file: a.csv"
    assert (states(here)[RAW], dead_letters(here).height) == (told, 2)


def test_an_unparsable_record_stays_open_when_its_file_name_is_delivered_again(
    here: Environment,
) -> None:
    [ragged] = [bad for bad in PARTLY if bad.name == "ragged.csv"]
    folder = put(here, ragged)
    land_now(here)
    (folder / "ragged.csv").write_bytes(invoice(1, 2, day="2010-12-03"))
    land_now(here)
    assert states(here)[RAW] == "2 dead letters"


def test_a_file_in_the_place_of_a_folder_lands(here: Environment) -> None:
    folder = put(here, UNREADABLE[0])
    land_now(here)
    (folder / "folder.csv").rmdir()
    write(here, "invoice_lines", "folder.csv", invoice(1))
    land_now(here)
    assert rows(here, "folder.csv") == 1


def test_a_folder_that_may_not_be_listed_is_named_and_the_others_land(here: Environment) -> None:
    write(here, "invoice_lines", "closed/a.csv", invoice(1)).parent.chmod(0)
    write(here, "invoice_lines", "open/b.csv", invoice(2))
    report = land_now(here)
    (Path(here.landing.root) / "invoice_lines" / "closed").chmod(0o755)
    assert report.refused == ("closed: cannot be read: Permission denied",)
    assert rows(here, "open/b.csv") == 1


def test_a_file_that_vanishes_before_it_is_read_is_no_delivery(here: Environment) -> None:
    write(here, "invoice_lines", "a.csv", invoice(1))
    gone = write(here, "invoice_lines", "b.csv", invoice(2))
    report = land_while(here, lambda: gone.unlink(missing_ok=True))
    assert (report.refused, report.audits[0].read) == ((), 1)
    assert here.lake.version(DEAD_LETTERS) is None


def land_while(here: Environment, happens) -> LandResult:
    """Land; after each file something happens."""
    from lakehouse.ingest.land import land  # noqa: PLC0415

    return land(here.lake, here.landing, here.catalog[RAW], progress=lambda *_: happens())


LAND = """
import resource, sys
from pathlib import Path
from dataclasses import replace
from support.worlds import land_all, world
from lakehouse.ingest.limits import set_limits
here = world(Path(sys.argv[1]))
# The line is a bomb as well, which would be refused before it is read.
here = replace(here, landing=replace(here.landing, limits=set_limits({"ratio": 2000})))
here.lake.tables()
import polars as pl
pl.LazyFrame({"a": [1]}).select(pl.len()).collect(engine="streaming")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
land_all(here)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def gzip_of_one_line(start: bytes, mebibytes: int) -> bytes:
    """So much of x after some bytes, in a thousandth: gzip members may follow each other."""
    return gzip.compress(start) + gzip.compress(b"x" * (1 << 24)) * (mebibytes >> 4)


@pytest.mark.full
@pytest.mark.parametrize("mebibytes", [256, full(1024)])
@pytest.mark.parametrize(
    ("start", "reason"),
    [(b"", "header too long"), (f"{HEADER}\n{line(1)}\n".encode(), "line too long: {:,} bytes")],
    ids=["header", "record"],
)
def test_a_line_as_large_as_memory_is_a_dead_letter_and_takes_little_memory(
    here: Environment, tmp_path: Path, start: bytes, reason: str, mebibytes: int
) -> None:
    file = write(here, "invoice_lines", "long.csv.gz", gzip_of_one_line(start, mebibytes))
    write(here, "invoice_lines", "good.csv", invoice(2, 3))
    megabytes = int(python(LAND, tmp_path))
    dead = dead_letters(here).row(0, named=True)
    assert reason.format(mebibytes << 20) in dead["reason"]
    assert (rows(here, "good.csv"), rows(here, "long.csv.gz")) == (2, int(bool(start)))
    kept = (
        (tmp_path / "lake" / dead["kept_at"]).read_bytes() if dead["kept_at"] else dead["payload"]
    )
    assert kept == file.read_bytes()
    assert megabytes < 100 + mebibytes // 2


def python(script: str, folder: Path) -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
