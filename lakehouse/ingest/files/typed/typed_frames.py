"""Rows of formats with types of their own, but for types that Delta lacks or that are ambiguous.

| in the file | in the rows |
|---|---|
| timestamp without a zone | text, `2024-01-31 23:59:59.5`; an instant if its zone is declared |
| timestamp with a zone | microseconds UTC; ISO text if that would lose digits |
| duration, time of day, category | text |
| unsigned integer | the next larger integer; decimal for 64 bits |
| only nulls, without a type | nulls of the type that the column has in the table |
| nested | unchanged, or JSON text if Delta Lake lacks the type |

Parquet, Arrow, Avro and ORC share them.
"""

import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.errors import SetupError
from lakehouse.ingest.files.header_names import has_nul, land_columns, list_names
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.typed.local_times import place_local_times
from lakehouse.ingest.files.typed.parquet_values import refuse_unheld_values
from lakehouse.ingest.limits import IngestLimits
from lakehouse.redaction import redact
from lakehouse.storage.delta_types import to_delta_type

# Delta Lake has no unsigned integers and no half-precision numbers. 2⁶⁴ - 1 has 20 digits.
_WIDER: dict[type[pl.DataType], pl.DataType] = {
    pl.UInt8: pl.Int16(),
    pl.UInt16: pl.Int32(),
    pl.UInt32: pl.Int64(),
    pl.UInt64: pl.Decimal(20, 0),
    pl.Float16: pl.Float32(),
}


def add_typed_frame(
    lf: pl.LazyFrame, size: int, ledger: RecordLedger, options: ReadOptions, kind: str
) -> None:
    """Adds all rows of a typed file to the ledger.

    Args:
        lf: its rows, in their order.
        size: how many bytes it has.
        ledger: what takes them.
        options: how it is read.
        kind: what the file is, for people, as `a Parquet file`.

    Raises:
        RefusedError: it is too large, has values that no table holds, or lacks columns.
        polars.exceptions.PolarsError: it is damaged.
    """
    schema = lf.collect_schema()
    _check_size(size, lf, schema, ledger.limits)
    land_columns(ledger, list(schema), options.required)
    names = ledger.columns
    # Below, a name like `*` would be a pattern for Polars.
    lf = lf.rename(dict(zip(schema, names, strict=True)))
    schema = pl.Schema(zip(names, schema.dtypes(), strict=True))
    if options.files.time_zone is not None:
        lf, notes = place_local_times(lf, schema, options.files.time_zone)
        schema = lf.collect_schema()
        ledger.notes.extend(notes)
    refuse_unheld_values(lf, schema)
    lossy = _find_lossy(lf, schema)
    columns = [
        _convert(name, dtype, is_lossy=name in lossy).alias(name) for name, dtype in schema.items()
    ]
    ledger.add_typed(lf.select(columns), names)
    if not ledger.records:
        ledger.empty_because = f"no rows: {kind} with {len(names)} columns"


def describe_repeated_name(error: pl.exceptions.DuplicateError) -> str:
    """Returns why a typed file is refused whose columns have a name twice, and what to do."""
    # Polars reads no such file, so its columns cannot be numbered as those of a CSV header are.
    return f"{redact(error)}. Next: deliver the file with names that differ"


def _check_size(size: int, lf: pl.LazyFrame, schema: pl.Schema, limits: IngestLimits) -> None:
    """Refuses a file that claims more than it may hold; no row is read for that."""
    deep = [name for name, dtype in schema.items() if _measure_depth(dtype) > limits.nesting]
    if deep:
        raise RefusedError(f"nested more than {limits.nesting} deep (nesting): {list_names(deep)}")
    rows = int(lf.select(pl.len()).collect().item())
    if rows > limits.rows:
        raise RefusedError(f"{rows:,} rows; limit {limits.rows:,} (rows)")
    # A value takes a byte at least once it is written, however small it is in this file.
    cells = rows * len(schema)
    if cells > max(limits.ratio_from, size * limits.ratio):
        raise RefusedError(
            f"too large: {size:,} bytes claim {cells:,} values in {rows:,} rows; "
            f"limit {limits.ratio} to one (ratio)"
        )


def _measure_depth(dtype: pl.DataType | DataTypeClass) -> int:
    """Returns how deep a type is nested; 0 for a plain one."""
    depth, level = 0, [dtype]
    # Level by level, not by recursion: a file may claim more levels than Python can go down.
    while level := [inner for one in level for inner in _list_inner(one)]:
        depth += 1
    return depth


def _list_inner(dtype: pl.DataType | DataTypeClass) -> list[pl.DataType | DataTypeClass]:
    if isinstance(dtype, pl.Struct):
        return [field.dtype for field in dtype.fields]
    return [dtype.inner] if isinstance(dtype, pl.List | pl.Array) else []


def _find_lossy(lf: pl.LazyFrame, schema: pl.Schema) -> frozenset[str]:
    """Returns the columns of instants that microseconds cannot hold exactly."""
    instants = {
        name: dtype.time_unit
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Datetime)
        and dtype.time_zone is not None
        and dtype.time_unit != "us"
    }
    if not instants:
        return frozenset()
    # There and back: what comes back changed had digits below the microsecond. All columns take
    # one pass, because a file may be large.
    changed = [
        (pl.col(name).dt.cast_time_unit("us").dt.cast_time_unit(unit) != pl.col(name)).any()
        for name, unit in instants.items()
    ]
    row = lf.select(changed).collect(engine="streaming").row(0)
    return frozenset(name for name, is_lossy in zip(instants, row, strict=True) if is_lossy)


def _convert(name: str, dtype: pl.DataType, *, is_lossy: bool) -> pl.Expr:  # noqa: PLR0911
    """Returns a column in a type that the raw table can hold; see the table of this module."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            # The spelling of such times in CSV, so that one cast in the transform reads both.
            return column.dt.to_string("%Y-%m-%d %H:%M:%S%.f")
        utc = column.dt.convert_time_zone("UTC")
        return (
            utc.dt.to_string("%Y-%m-%dT%H:%M:%S%.f+00:00")
            if is_lossy
            else utc.dt.cast_time_unit("us")
        )
    if isinstance(dtype, pl.Duration):
        return column.dt.to_string("iso")
    if isinstance(dtype, pl.Time):
        return column.dt.to_string("%H:%M:%S%.f")
    if type(dtype) in _WIDER:
        return column.cast(_WIDER[type(dtype)])
    # A type that says nothing takes that of its column; see `drift/type_choice.py`.
    if dtype == pl.Null or _is_delta_type(dtype):
        return column
    # Delta Lake has lists, but none of a fixed length.
    if isinstance(dtype, pl.Array) and _is_delta_type(pl.List(dtype.inner)):
        return column.arr.to_list()
    return _as_json(name) if dtype.is_nested() else column.cast(pl.String())


def _is_delta_type(dtype: pl.DataType | DataTypeClass) -> bool:
    """Returns whether Delta Lake has this type."""
    if not isinstance(dtype, pl.DataType):
        return False
    if isinstance(dtype, pl.Struct):
        # Delta Lake compares the names of fields without their case, as it does those of columns,
        # and Arrow cannot open a name with a NUL byte.
        names = {field.name.casefold() for field in dtype.fields}
        is_named_well = 0 < len(names) == len(dtype.fields) and not any(map(has_nul, names))
        return is_named_well and all(_is_delta_type(field.dtype) for field in dtype.fields)
    if isinstance(dtype, pl.List):
        return _is_delta_type(dtype.inner)
    try:
        to_delta_type(dtype)
    except SetupError:
        return False
    return True


def _as_json(name: str) -> pl.Expr:
    """Returns a nested column as JSON text."""
    # Polars encodes only structs as JSON, so the value is wrapped in one and taken out again.
    json = pl.struct(pl.col(name).alias("v")).struct.json_encode()
    text = json.str.strip_prefix('{"v":').str.strip_suffix("}")
    # A null would become the text `null`.
    return pl.when(pl.col(name).is_not_null()).then(text)
