"""A lake may be in a folder of any name: spaces, non-ASCII letters, and characters with a meaning in a URI."""

import pytest
from support.worlds import bring_up_to_date, contents, world
from tills import lines, sell, till

from lakehouse.errors import SetupError
from lakehouse.observe.sql import open_sql
from lakehouse.storage.lake import Lake


def filled(folder):
    """A till after two deliveries; the second corrects a day."""
    folder.mkdir()
    here = world(folder, till())
    for name, text in (("a", lines(3, 1, 2) + lines(4, 3, -1)), ("b", lines(3, 6, first=9))):
        sell(here, name, text)
        bring_up_to_date(here)
    return here


@pytest.mark.parametrize(
    "name", ["my lake", "Übersicht", "a#b", "a?b", "a+b&c", "a;b,c'd", "(a)$!@~^"]
)
def test_a_lake_in_a_folder_of_any_name_holds_the_same(tmp_path, name):
    here = filled(tmp_path / name)
    assert contents(here) == contents(filled(tmp_path / "plain"))
    with open_sql(here.lake) as connection:
        assert connection.execute("SELECT count(*) FROM staged.sales").fetchone() == (4,)
    here.lake.open("staged/sales").restore(0)
    bring_up_to_date(here)
    assert contents(here) == contents(world(tmp_path / "plain", till()))


@pytest.mark.parametrize("sign", [*"%*=[]{}"])
def test_a_folder_that_would_be_misread_is_refused(tmp_path, sign):
    with pytest.raises(SetupError, match="readers of Delta and Parquet misread"):
        Lake(str(tmp_path / f"a{sign}b" / "lake"))
