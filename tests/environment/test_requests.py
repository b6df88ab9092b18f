"""A request for something that does not exist is refused with the names that exist; nothing is written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.sizes import first
from support.worlds import catalog_of, world, write

from lakehouse.environment import Environment
from lakehouse.errors import BusyError, DataError, LakehouseError, LawError, SetupError
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land, read_news
from lakehouse.observe import overview
from lakehouse.observe.rejects import read_rejects
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.storage.object_store import describe_store_error, open_store
from lakehouse.tables.declare import raw
from lakehouse.transform.make import make


def files_of(here: Environment) -> list[Path]:
    return [path for path in Path(here.lake.root).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["orders", "gold/orders", "raw/", "raw/Orders", "raw/../x", "raw/a/b", ""]
)
def test_what_cannot_be_the_name_of_a_table_is_refused(here, name):
    with pytest.raises(
        SetupError, match=r"is not the name of a table.\nNext: write <layer>/<table> in lower case"
    ):
        here.lake.scan(name)


def test_a_table_that_does_not_exist_is_refused_and_the_others_are_named(here):
    write(here, "invoice_lines", "a.csv", "")
    land(here.lake, here.landing, here.catalog["raw/invoice_lines"])
    with pytest.raises(SetupError) as refused:
        here.lake.scan("raw/nothing")
    assert str(refused.value) == (
        f"There is no table raw/nothing in {here.lake.root}.\n"
        f"Next: make it first. The tables are: raw/invoice_lines, {DEAD_LETTERS}, {DELIVERIES}."
    )


def test_a_scan_of_an_empty_lake_makes_nothing(here):
    with pytest.raises(SetupError, match="The tables are: none yet"):
        here.lake.scan("raw/nothing")
    assert files_of(here) == []


def test_an_undeclared_table_cannot_be_built(here):
    with pytest.raises(
        SetupError,
        match=r"There is no table 'staged/nothing'.\nNext: use one of raw/invoice_lines, ",
    ):
        make(here.lake, here.catalog, "staged/nothing")
    assert files_of(here) == []


def test_a_raw_table_cannot_be_built(here):
    with pytest.raises(
        SetupError,
        match=r"raw/fx_rates is landed, not made.\nNext: put files into its landing folder",
    ):
        make(here.lake, here.catalog, "raw/fx_rates")
    assert files_of(here) == []


def test_a_derived_table_cannot_be_landed(here):
    with pytest.raises(
        SetupError, match=r"staged/fx_rates is made from other tables, not landed.\nNext: "
    ):
        land(here.lake, here.landing, here.catalog["staged/fx_rates"])
    assert files_of(here) == []


def test_a_missing_landing_folder_is_refused_before_anything_is_written(here, tmp_path):
    missing = Landing(str(tmp_path / "nowhere"))
    with pytest.raises(SetupError) as refused:
        land(here.lake, missing, here.catalog["raw/fx_rates"])
    told = f"The landing folder {tmp_path / 'nowhere'} does not exist.\nNext: create it, or set LAKEHOUSE_LANDING to another folder."
    assert str(refused.value) == told
    assert files_of(here) == []


def test_a_landing_folder_that_is_a_file_is_refused(here, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="file is not a folder"):
        read_news(here.lake, Landing(str(tmp_path / "file")), here.catalog["raw/fx_rates"])


def test_a_missing_folder_of_one_table_is_only_empty(here):
    found = read_news(here.lake, here.landing, here.catalog["raw/fx_rates"])
    assert (found.ready, found.unfinished, found.unreadable) == ((), (), ())


def test_a_file_in_the_place_of_a_table_folder_is_reported(here):
    (Path(here.landing.root) / "fx_rates").write_text("")
    with pytest.raises(SetupError, match=r"fx_rates is not a folder.\nNext: "):
        read_news(here.lake, here.landing, here.catalog["raw/fx_rates"])


def test_audits_of_an_unknown_table_are_refused(here):
    with pytest.raises(
        SetupError,
        match=r"There is no table 'staged/nothing' in the lake.\nNext: make the tables first",
    ):
        overview.list_audits(here, "staged/nothing")


def test_rejects_of_an_unknown_table_are_refused(here):
    with pytest.raises(SetupError, match=r"There is no table 'staged/nothing'.\nNext: use one of "):
        read_rejects(here, "staged/nothing", 1)


def test_a_wrong_declaration_leaves_the_lake_alone(tmp_path):
    with pytest.raises(SetupError):
        world(tmp_path, catalog_of(orders=raw("Orders", "Orders.", columns=("id",))))
    assert not (tmp_path / "lake").exists()


def test_a_lake_that_cannot_be_a_folder_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="file cannot be opened: "):
        Lake(str(tmp_path / "file")).tables()


def test_a_lake_of_an_unknown_scheme_is_a_wrong_setting():
    with pytest.raises(SetupError, match=r"ftp://x/y cannot be opened: .*URL"):
        Lake("ftp://x/y").tables()


ASKED = {
    "tables": lambda root, options: Lake(root, options).tables(),
    "open": lambda root, options: Lake(root, options).open("raw/orders"),
    "entries": lambda root, options: Landing(root, options).list_entries("orders"),
    "strays": lambda root, options: Landing(root, options).list_unclaimed([]),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, BaseException | None]:
    """What comes of asking a store that does not answer; all wait at once, for clients try for seconds."""
    options = {
        "aws_access_key_id": "AKIAHUSH",
        "aws_secret_access_key": "hush-hush",
        "aws_region": "eu-west-1",
        "aws_endpoint": "http://127.0.0.1:9",
        "aws_allow_http": "true",
    }
    with ThreadPoolExecutor(len(ASKED)) as pool:
        asked = {
            name: pool.submit(ask, "s3://bucket/place", options) for name, ask in ASKED.items()
        }
        return {name: future.exception() for name, future in asked.items()}


@pytest.mark.parametrize("name", first(1, ASKED))
def test_a_store_that_does_not_answer_is_reported_briefly_and_without_secrets(answers, name):
    assert isinstance(answers[name], BusyError)
    told = str(answers[name])
    assert len(told.splitlines()) == 2
    assert (
        "Next: check that the bucket exists, and that LAKEHOUSE_STORAGE_OPTIONS holds its credentials"
        in told
    )
    assert not any(word in told for word in ("AKIAHUSH", "hush-hush", "Debug", "\x1b"))


def test_a_secret_that_a_store_quotes_is_left_out():
    told = describe_store_error(
        OSError("cannot sign with hush\nas AKIA\n\nDebug source:\nhush"),
        {"aws_secret_access_key": "hush"},
    )
    assert told == "cannot sign with … as AKIA"


def test_looking_into_a_lake_that_is_not_there_makes_no_folder(tmp_path):
    lake = Lake(str(tmp_path / "nowhere"))
    assert (lake.tables(), lake.version("raw/orders"), lake.read_remaining_log("raw/orders")) == (
        [],
        None,
        [],
    )
    assert list(tmp_path.iterdir()) == []


def test_the_type_of_an_error_decides_what_to_do_next():
    assert LakehouseError.__subclasses__() == [SetupError, DataError, BusyError, LawError]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("allow_invalid_certificates", "true"), ("aws_allow_invalid_certificates", "true")],
        *[("http1_only", "true"), ("pool_idle_timeout", "5s"), ("PROXY_EXCLUDES", "localhost")],
        *[("aws_timeout", "3s"), ("allow_http", "false")],
    ],
)
def test_an_option_of_the_client_is_passed_on_to_it(option, value):
    assert open_store("s3://bucket/lake", {option: value, "aws_region": "eu-west-1"})


@pytest.mark.parametrize(
    "option", ["default_headers", "root_certificate", "nonsense", "allow_http", "timeout"]
)
def test_an_option_that_the_client_cannot_take_is_a_wrong_setting(option):
    with pytest.raises(SetupError, match=r"s3://bucket/lake cannot be opened: .*\nNext: "):
        open_store("s3://bucket/lake", {option: "no such value"})
