"""From a file to a table in one command, in a project of its own."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lakehouse.errors import SetupError
from lakehouse.observe.profile.profile_file import profile_file
from lakehouse.scaffold.project import write_project
from lakehouse.scaffold.python_names import make_class_name, make_names
from lakehouse.scaffold.samples import find_samples
from lakehouse.scaffold.table_source import TableSource
from lakehouse.scaffold.write_table import write_new_table

ROOT = Path(__file__).resolve().parents[2]
TICKETS = "Ticket No,class,Fee,Mail,opened\n" + "".join(
    f"T{n},{'gold' if n % 2 else 'blue'},{n}.50,p{n}@example.com,2024-05-{n % 28 + 1:02} 08:00:00\n"
    for n in range(60)
)


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lakehouse.command import main; main()", *arguments]
    known = {n: v for n, v in os.environ.items() if not n.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    known |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        command, cwd=project, env=known, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a table made of a sample."""
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    (root / "tickets.csv").write_text(TICKETS)
    done = run(root, "new", "desk/tickets", "--from", "tickets.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    (root / "printed.txt").write_text(done.stdout)
    return root


def test_every_record_of_the_sample_is_written_at_the_first_run(project):
    assert "Tried: 60 records = 60 written + 0 rejected" in (project / "printed.txt").read_text()


def test_the_contract_has_types_a_key_and_personal_data(project):
    contract = (project / "checks" / "desk.py").read_text()
    assert "fee: Annotated[pl.Decimal, 18, 2]" in contract
    assert "mail: str = Field(pii=True" in contract
    assert "opened: Instant" in contract
    assert 'key = ("ticket_no",)' in contract
    assert "class_value: str" in contract
    assert "p1@example.com" not in contract


def test_the_table_is_made_day_by_day(project):
    tables = (project / "assets" / "desk" / "tickets.py").read_text()
    assert "PERIODS = Daily(date(2024, 1, 1))" in tables
    assert "def tickets_days(tickets: LazyFrame)" in tables


def test_what_is_written_is_formatted_and_has_no_lint(project):
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT / "pyproject.toml")]
    folders = ["assets", "checks"]
    formatted = subprocess.run(
        [*ruff, "format", "--check", *config, *folders], cwd=project, check=False
    )
    linted = subprocess.run(
        [*ruff, "check", *config, "--ignore", "I001,D106", *folders],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert formatted.returncode == 0
    assert linted.returncode == 0, linted.stdout


def test_nothing_that_exists_is_overwritten(project):
    before = (project / "checks" / "desk.py").read_text()
    done = run(project, "new", "desk/tickets", "--from", "tickets.csv")
    assert done.returncode == 1
    assert "These files exist, and nothing was written" in done.stderr
    assert (project / "checks" / "desk.py").read_text() == before


def test_a_project_keeps_the_files_that_it_has(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    written, existing = write_project(tmp_path)
    assert existing == [tmp_path / "README.md"]
    assert tmp_path / "pyproject.toml" in written
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize("wanted", ["Desk/tickets", "desk/2024", "desk/class"])
def test_a_name_that_python_cannot_have_is_refused_with_one_that_it_can(tmp_path, wanted):
    with pytest.raises(SetupError, match="Next: call it "):
        write_new_table(tmp_path, wanted, ["a.csv"])


def test_a_sample_without_rows_writes_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("id,town\n")
    with pytest.raises(SetupError, match="holds no row"):
        write_new_table(tmp_path, "desk/a", [str(tmp_path / "a.csv")])
    assert not (tmp_path / "assets").exists()


def test_names_become_identifiers_each_once():
    names = ["InvoiceNo", "invoice no", "PM2.5", "2021", "class", "Größe", "_id", "%", "HTTPCode"]
    assert make_names(names) == ["invoice_no", "invoice_no_2", "pm2_5", "n_2021", "class_value", "groesse", "id", "column", "http_code"]  # fmt: skip
    assert [make_class_name(name) for name in ("orders", "cities", "address")] == ["Order", "City", "Address"]  # fmt: skip


def test_marks_for_null_become_null_where_a_number_stands(tmp_path):
    (tmp_path / "a.csv").write_text("id,n\nx,1\ny,-\nz,3\n")
    source = TableSource("a", "a", "a", profile_file(tmp_path / "a.csv"))
    assert 'col("n").replace(["-"], None)' in source.write_tables()
    assert "n: pl.Int64 = Field(nullable=True" in source.write_contract()


def write_clicks(folder: Path) -> None:
    """Writes a folder as Spark does: two days of typed rows, and files that hold none."""
    for day in (1, 2):
        part = folder / f"dt=2026-11-0{day}"
        part.mkdir(parents=True)
        rows = pl.DataFrame(
            {
                "event_id": range(day * 100, day * 100 + 30),
                "user": [{"id": n % 7, "country": "NO"} for n in range(30)],
                "tags": [["a", "b"]] * 30,
                "amount": [None if n % 2 else f"{n}.50" for n in range(30)],
                "paid": [bool(n % 2) for n in range(30)],
                "seen": [
                    datetime(2026, 11, day, 8, n, tzinfo=UTC).replace(tzinfo=None)
                    for n in range(30)
                ],
                "nothing": [None] * 30,
            }
        ).with_columns(pl.col("amount").cast(pl.Decimal(10, 2)))
        rows.write_parquet(part / "part-0.parquet")
        (part / ".part-0.parquet.crc").write_bytes(b"crc!")
    (folder / "_SUCCESS").touch()


def test_a_folder_of_spark_becomes_typed_rows_with_the_day_of_its_folders(tmp_path):
    write_project(tmp_path)
    write_clicks(tmp_path / "clicks.parquet")
    done = run(tmp_path, "new", "web/clicks", "--from", "clicks.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tried: 2 files" in done.stdout
    assert "60 records = 60 written + 0 rejected" in done.stdout
    contract = (tmp_path / "checks" / "web.py").read_text()
    assert 'user: Annotated[pl.Struct, {"id": pl.Int64(), "country": pl.String()}]' in contract
    assert "tags: Annotated[pl.List, pl.String()]" in contract
    assert "amount: Annotated[pl.Decimal, 10, 2] = Field(nullable=True" in contract
    assert "paid: bool" in contract
    assert 'date_column = "dt"' in contract
    assert "files=Files(folders=True)" in (tmp_path / "assets" / "web" / "clicks.py").read_text()
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in tested.stdout, tested.stdout


def test_samples_keep_the_folders_below_the_given_one(tmp_path):
    write_clicks(tmp_path / "dt=x" / "clicks")
    inner = tmp_path / "dt=x" / "clicks"
    names = ["dt=2026-11-01/part-0.parquet", "dt=2026-11-02/part-0.parquet"]
    assert [one.name for one in find_samples(f"{tmp_path}/*/clicks/*/*.parquet")] == [
        f"dt=x/clicks/{name}" for name in names
    ]
    moved = inner.rename(tmp_path / "clicks")
    assert [one.name for one in find_samples(str(moved))] == names
    assert [one.name for one in find_samples(f"{moved}/dt=*/*.parquet")] == names
    assert [one.name for one in find_samples(f"{moved}/{names[1]}")] == names[1:]


def test_a_file_that_is_refused_is_counted_as_a_file(tmp_path):
    write_project(tmp_path)
    (tmp_path / "a.csv").write_text("id,n\n0,1\n1,2\n")
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    done = run(tmp_path, "new", "desk/a", "--from", "a.csv", "--from", "b.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tried: 2 files, 1 refused" in done.stdout
    assert "Tried: 2 records = 2 written + 0 rejected" in done.stdout


def test_a_trial_that_writes_nothing_ends_with_an_error(tmp_path):
    write_project(tmp_path)
    columns = [["x" if row == column else str(row) for row in range(20)] for column in range(3)]
    lines = [",".join(cells) for cells in zip(*columns, strict=True)]
    (tmp_path / "a.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n")
    done = run(tmp_path, "new", "desk/a", "--from", "a.csv")
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "values", "written"),
    [
        ("Betrag", ("-1.200,00", "3,50"), ', pl.Decimal(18, 2), decimal=",", thousands="."'),
        ("x", ("1.20 €", "3.50 €"), ", pl.Decimal(18, 2), currency=True"),
        ("price", ("1.2", "3.50"), ""),
        ("weight", ("1.20", "3.50"), ""),
        ("tip share", ("1.20 %", "3.50 %"), ", percent=True"),
    ],
)
def test_money_is_exact_where_each_value_has_cents(tmp_path, name, values, written):
    (tmp_path / "a.csv").write_text(f"id;{name}\n" + "".join(f"k{v};{v}\n" for v in values))
    source = TableSource("a", "a", "a", profile_file(tmp_path / "a.csv"))
    assert f'read_number("{name}"{written})' in source.write_tables()
    is_exact = "Annotated[pl.Decimal, 18, 2]" in source.write_contract()
    assert is_exact == ("Decimal" in written)


def test_a_table_that_refers_to_another_is_tried_with_the_samples_of_both(tmp_path):
    write_project(tmp_path)
    (tmp_path / "owners.csv").write_text("owner_id,town\no1,Oslo\no2,Bern\n")
    (tmp_path / "bikes.csv").write_text("bike_id,owner_id\nb1,o1\nb2,o2\nb3,o9\n")
    for one in ("owners", "bikes"):
        done = run(tmp_path, "new", f"hire/{one}", "--from", f"{one}.csv")
        assert done.returncode == 0, done.stdout + done.stderr
    contract = tmp_path / "checks" / "hire_bikes.py"
    declared = 'references = {"owner_id": "owners"}\n        max_quarantined = 0.5'
    contract.write_text(contract.read_text().replace("max_quarantined = 0.1", declared))
    test = tmp_path / "tests" / "test_hire_bikes.py"
    test.write_text(
        "from lakehouse.scaffold.samples import find_samples\n"
        "from lakehouse.scaffold.trial import try_samples\n\n\n"
        "def test_it(tmp_path):\n"
        '    samples = {one: find_samples(f"{one}.csv") for one in ("owners", "bikes")}\n'
        '    outcome = try_samples("bikes", samples, tmp_path)\n'
        '    assert outcome.rows["bike_id"].to_list() == ["b1", "b2"], outcome.reasons\n'
        "    assert (outcome.records, outcome.rejected) == (3, 1), outcome.reasons\n"
    )
    tested = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/test_hire_bikes.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in tested.stdout, tested.stdout
