"""The state of a lake: its content, and what must never be found in it.

Belongs here: comparing lakes, origins without gap or repeat, audits, and orphaned files. Does not
belong here: how the lake got there.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import obstore
import polars as pl

from campaign.shop import create_planner, open_shop
from lakehouse.environment import Environment
from lakehouse.observe.overview import list_audits
from lakehouse.quarantine import states
from lakehouse.quarantine.states import is_in
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.system_columns import LINEAGE

_MOVING = (
    *("_batch_id", "_run_id", "_settled_by", "etag"),
    *("_ingested_at", "_modified_at", "_first_seen_at", "_last_seen_at", "_settled_at"),
)
_REGISTER = "quarantine/deliveries"
_WHOLE_FILE = 0
SETTLED = ", settled"


def describe(folder: Path, records: Mapping[str, int | None]) -> None:
    """In a child: writes the content of each table and all problems of the lake to `state.json`.

    Args:
        folder: of the world.
        records: how many records each delivery has, by the hash of its bytes; None if
            it is no table.
    """
    write_state(folder, open_shop(folder), records)


def write_state(folder: Path, here: Environment, records: Mapping[str, int | None]) -> None:
    """Writes the same for any lake at rest into a folder; each table is opened once."""
    at_rest = replace(here, lake=create_planner(here).lake)
    found = {"content": hash_tables(at_rest), "problems": list(find_problems(at_rest, records))}
    (folder / "state.json").write_text(json.dumps(found))


def key_by_digest(delivered: Iterator[tuple[bytes, int | None]]) -> dict[str, int | None]:
    """Returns the records of each delivery, by the hash of its bytes."""
    return {hashlib.sha256(content).hexdigest(): records for content, records in delivered}


def hash_tables(here: Environment) -> dict[str, str]:
    """Returns for each table its rows and an order-free hash of them, without runs and moments.

    Rows of a quarantine that later rows settled are listed apart, under a name that ends with
    `SETTLED`.
    """
    found = {name: here.lake.scan(name) for name in here.lake.tables()}
    for name in [name for name, rows in found.items() if "_state" in rows.collect_schema()]:
        is_settled = is_in(states.RELEASED) | is_in(states.SUPERSEDED)
        found |= {
            name: found[name].filter(~is_settled),
            f"{name}{SETTLED}": found[name].filter(is_settled),
        }
    if _REGISTER in found:
        # The files of a copied world have other tags: they are read, and registered, once more.
        rows = found[_REGISTER]
        found[_REGISTER] = rows.drop(*_MOVING, strict=False).unique()
    return {name: _hash_rows(rows) for name, rows in found.items()}


def _hash_rows(rows: pl.LazyFrame) -> str:
    schema = rows.collect_schema()
    names = sorted(name for name in schema if name not in _MOVING)
    changes = [pl.col(name).round_sig_figs(9) for name in names if schema[name].is_float()]
    if "_event" in names:  # of a rejected event: its key, its sequence, and when it was delivered
        changes.append(pl.col("_event").struct.with_fields(_modified_at=pl.lit(None)))
    lines = sorted(map(repr, rows.select(names).with_columns(changes).collect().iter_rows()))
    digest = hashlib.sha256("\n".join([repr(names), *lines]).encode()).hexdigest()[:16]
    return f"{len(lines)} rows, {digest}"


def find_problems(here: Environment, records: Mapping[str, int | None]) -> Iterator[str]:
    """Finds everything that is wrong with a lake at rest."""
    yield from _origins(here, records)
    yield from _rejects(here)
    yield from _find_unaccounted(here)
    for table in here.lake.tables():
        yield from (f"{table}: nobody owns {path}" for path in find_orphans(here, table))
    yield from (
        f"{part.table}: still stale {', '.join(map(str, part.keys))}"
        for part in create_planner(here).find_stale_tables()
    )


def _origins(here: Environment, records: Mapping[str, int | None]) -> Iterator[str]:
    """Checks law 2: each record of each delivery is a row or a dead letter, once."""
    found = Counter(
        (source.rpartition("#")[2], offset or _WHOLE_FILE) for source, offset in _all_origins(here)
    )
    wanted = Counter(
        (digest, offset)
        for digest, count in records.items()
        for offset in ([_WHOLE_FILE] if count is None else range(1, count + 1))
    )
    for kind, some in (("missing", wanted - found), ("too often", found - wanted)):
        if some:
            yield f"raw/sales: {some.total()} records {kind}, for example {next(iter(some))}"


def _all_origins(here: Environment) -> Iterator[tuple[str, int | None]]:
    for table in ("raw/sales", "quarantine/dead_letters"):
        if here.lake.open(table) is not None:
            yield from here.lake.scan(table).select("_source", "_offset").collect().iter_rows()


def _rejects(here: Environment) -> Iterator[str]:
    """Checks that each rejected row that has an origin is one row of the raw table."""
    for table in here.catalog.derived_tables:
        name = table.quarantine
        rows = None if here.lake.open(name) is None else here.lake.scan(name)
        if rows is None or table.is_aggregate:
            continue
        origins = rows.select(LINEAGE).collect()
        twice, once = origins.filter(origins.is_duplicated()).unique(), origins.unique()
        raw = here.lake.scan("raw/sales").select(LINEAGE).collect()
        if twice.height:
            yield f"{name}: {twice.height} rejected rows are there twice"
        if strange := once.join(raw, on=LINEAGE, how="anti").height:
            yield f"{name}: {strange} rejected rows are none of raw/sales"


def _find_unaccounted(here: Environment) -> Iterator[str]:
    """Checks law 1: the counts of each commit add up, and match rows and dead letters."""
    for name in here.catalog.tables:
        found = list_audits(here, name) if here.lake.open(name) is not None else []
        yield from (
            f"{name}: the books of version {one.version} do not close"
            for one in found
            if one.accounted_rows != one.read
        )
        if name.startswith("raw/") and found:
            told = (sum(one.written for one in found), sum(one.dead_letters for one in found))
            if told != (stands := (_height(here, name), _height(here, "quarantine/dead_letters"))):
                yield f"{name}: the audits tell {told} rows and dead letters, {stands} stand"


def _height(here: Environment, table: str) -> int:
    return (
        0
        if here.lake.open(table) is None
        else int(here.lake.scan(table).select(pl.len()).collect().item())
    )


def find_orphans(here: Environment, table: str) -> Iterator[str]:
    """Finds files that a full vacuum misses, and live ones that it would delete."""
    handle = here.lake.open(table)
    assert handle is not None
    on_disk = {path for path in _paths(here.lake, table) if not _is_hidden(path)}
    live = set(list_data_files(handle)["path"]) if handle.file_uris() else set()
    listed = set(handle.vacuum(0, dry_run=True, enforce_retention_duration=False, full=True))
    yield from sorted(on_disk - live - listed)
    yield from (
        f"{path}, which is live and which vacuum would take" for path in sorted(live & listed)
    )
    yield from (f"{path}, which is live and not there" for path in sorted(live - on_disk))


def _is_hidden(path: str) -> bool:
    """Returns whether a file is in the log, or is an aborted upload that delta-rs does not list."""
    return path.startswith("_delta_log/") or re.search(r"#\d+$", path) is not None


def _paths(lake: Lake, table: str) -> Iterator[str]:
    """Lists every file of a table."""
    if lake.is_local:
        folder = Path(lake.uri(table))
        yield from (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    else:
        for page in obstore.list(lake.store, prefix=f"{table}/"):
            yield from (str(found["path"]).removeprefix(f"{table}/") for found in page)


def select_unsettled(content: Mapping[str, str]) -> dict[str, str]:
    """Returns the content of each table without what depends on the order of deliveries.

    A rejected row gets into quarantine only if it is judged before the row that settles it: an
    equal one of an earlier origin releases it, and a newer one of its key supersedes it. A
    quarantine that holds nothing else counts as none.
    """
    return {
        name: told
        for name, told in content.items()
        if not name.endswith(SETTLED)
        and not (name.startswith("quarantine/") and told.startswith("0 rows"))
    }


def find_differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Finds the tables whose content differs from that of another lake."""
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    return [
        f"{name}: {found.get(name, 'no table')} instead of {wanted.get(name, 'no table')}"
        for name in names
    ]
