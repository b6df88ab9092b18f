"""Law 2 on a full disk: nothing incomplete is published, and once there is space the next run ends as usual."""

import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.sizes import first
from support.worlds import bring_up_to_date, contents, world, write
from tills import lines, sell, till

WRITING = """
import resource, signal, sys
from pathlib import Path
from lakehouse.errors import SetupError
from support.worlds import bring_up_to_date, world
from tills import till
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    bring_up_to_date(world(Path(sys.argv[1]), till()))
except SetupError as error:
    sys.exit(str(error).splitlines()[0])
"""


def stocked(folder):
    here = world(folder, till())
    sell(here, "a", *(lines(day, 1, 2, -1, first=10 * day) for day in range(3, 9)), "7,too,short\n")
    return here


@pytest.mark.full
@pytest.mark.parametrize("most", first(1, [3500, 2000]))
def test_a_run_without_room_changes_nothing_and_the_next_one_ends_as_ever(tmp_path, most):
    """A limit on file size stops the raw table first, then later tables and their logs."""
    here, other = stocked(tmp_path / "full"), stocked(tmp_path / "other")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITING, tmp_path / "full", str(most)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "There is no space left in" in done.stderr
    for each in (here, other):
        bring_up_to_date(each)
    assert contents(here) == contents(other)


FORBIDDEN = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[2])))
from lesser_rights import permissions_count
with permissions_count():  # before any library has a thread, which would keep its rights
    from support.worlds import NOW, land_all, world
    from lakehouse.errors import SetupError
    from lakehouse.operations.restore import RestoreRequest, restore
    from lakehouse.operations.restore_plan import plan_restore
    from lakehouse.storage.remove_table import remove_table
    from lakehouse.transform.make import make
    from tills import till
    here = world(Path(sys.argv[1]), till())
    for do in (
        lambda: land_all(here),
        lambda: make(here.lake, here.catalog, "staged/sales", now=NOW),
        lambda: restore(here, plan_restore(here, "raw/sales", 0), RestoreRequest("ana")),
        lambda: remove_table(here.lake, "staged/sales"),
    ):
        try:
            do()
        except SetupError as error:
            print(str(error))
    print(here.lake.tables())
"""


def test_a_lake_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    here = stocked(tmp_path)
    bring_up_to_date(here)
    sell(here, "b", lines(4, 1))
    bring_up_to_date(here)
    sell(here, "c", lines(4, 2))
    before = contents(here)
    folders = [path for path in (tmp_path / "lake").rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    rights = Path(__file__).parents[1] / "ingest"
    command = [sys.executable, "-c", FORBIDDEN, tmp_path, rights]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    for folder in folders:
        folder.chmod(0o755)
    assert (
        done.stdout.count("cannot be written: ") == done.stdout.count("\nNext: give the user") == 4
    )
    assert "raw/sales" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert contents(here) == before


LANDING = """
import resource, signal, sys
from pathlib import Path
from support.worlds import land_all, world
from tills import till
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
print(*land_all(world(Path(sys.argv[1]), till()))["raw/sales"].refused)
"""


@pytest.mark.parametrize("name", first(1, ["large.csv.gz", "large.zip", "large.csv"]))
def test_a_file_that_takes_all_room_is_named_and_the_others_land(tmp_path, name):
    here, other = world(tmp_path, till()), world(tmp_path / "other", till())
    rows = [f"{n},2024-06-03,N,{n % 7}" for n in range(160_000)]
    text = "\n".join(["id,sold_on,shop,amount", *rows]).encode()
    content = io.BytesIO()
    if name.endswith(".gz"):
        content.write(gzip.compress(text))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("large.csv", text)
    else:
        content.write(text)
    for each in (here, other):
        write(each, "sales", name, content.getvalue())
        sell(each, "good", lines(3, 1))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LANDING, tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{name}: cannot be read: no room for what it unpacks to; ")
    assert here.lake.scan("raw/sales").collect().height == 1
    for each in (here, other):
        bring_up_to_date(each)
    assert contents(here) == contents(other)
