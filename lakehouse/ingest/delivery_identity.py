"""What identifies a delivery: the hash of its bytes, and what only its name says.

Equal bytes are one delivery under any name (docs/decisions/0002). Some tables give a name a
meaning: a full dump stands for its moment, and a table may take the day or columns of its rows from
the name. There, equal bytes under names that mean something else are two deliveries.
"""

import json
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import PurePath

import polars as pl

from lakehouse.ingest.files.delivery import Delivery
from lakehouse.ingest.files.name_columns import read_name_columns
from lakehouse.ingest.files.packed.suffixes import find_format
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.origin import DIGEST_DIGITS, Origin
from lakehouse.system_columns import ORIGIN
from lakehouse.tables.table_types import RawTable

_SOURCE = "_source"


def name_digest(raw: RawTable, delivery: Delivery, name: str) -> Delivery:
    """Returns a delivery with what its name says in its digest."""
    meaning = _read_meaning(raw, name)
    if meaning is None:
        return delivery
    named = sha256(f"{meaning}\n{delivery.digest}".encode()).hexdigest()
    return replace(delivery, digest=named)


def _read_meaning(raw: RawTable, name: str) -> str | None:
    """Returns what the name of a file says about its rows; None if it says nothing."""
    # By its bytes alone, a dump that equals an earlier one would add no rows, and the table would
    # stay as a dump in between left it.
    if raw.full_dumps:
        return name
    said = [one for one in (_read_columns(raw, name), _read_day(raw, name)) if one is not None]
    return "\n".join(said) if said else None


def _read_columns(raw: RawTable, name: str) -> str | None:
    try:
        columns = read_name_columns(name, raw.files)
    except RefusedError:
        # Refused for its name, so the same bytes under another name are no repetition.
        return name
    return json.dumps(columns, sort_keys=True) if columns else None


def _read_day(raw: RawTable, name: str) -> str | None:
    roots = set() if raw.day is None else set(raw.day.meta.root_names())
    if raw.day is None or _SOURCE not in roots:
        return None
    if roots == {_SOURCE}:
        source = Origin(name, "0" * DIGEST_DIGITS).source
        file = pl.DataFrame({_SOURCE: [source]}, schema={_SOURCE: ORIGIN[_SOURCE]})
        # A `day` that fails is reported by the commit, with the next step.
        with suppress(pl.exceptions.PolarsError):
            return str(file.select(raw.day).item())
    return name


def name_format(raw: RawTable, name: str) -> str:
    """Returns what tells how a file is read: its format, or the suffix of a name without one."""
    return raw.files.format or find_format(name) or PurePath(name.lower()).suffix
