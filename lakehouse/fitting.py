"""The columns of a raw table, and how delivered columns are brought to them.

A column that nobody declared holds text, whatever the file says: so the order of deliveries does not decide its type.
Nested and binary values keep theirs, for as text they would lose something. Names are told apart without their case, as
Delta Lake does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from lakehouse.sources.delivery import Delivery
from lakehouse.tables import EVENT_DATE, ORIGIN


@dataclass
class Columns:
    """The columns of a raw table while deliveries are brought to them.

    Attributes:
        table: the raw table.
        standing: the columns that it has, or that are declared for it; the engine's are left aside.
        added: the columns that deliveries brought since.
    """

    table: str
    standing: dict[str, pl.DataType]
    added: dict[str, pl.DataType] = field(default_factory=dict)
    spelled: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        engine = {*ORIGIN, EVENT_DATE}
        self.standing = {name: dtype for name, dtype in self.standing.items() if name not in engine}
        self.spelled = {name.casefold(): name for name in self.standing}

    @property
    def all(self) -> dict[str, pl.DataType]:
        """Every column that the table has after this."""
        return {**self.standing, **self.added}

    def fit(self, delivery: Delivery) -> tuple[Delivery, dict[str, str]]:
        """A delivery, refused whole if its types do not go into the columns; and its names as the table has them."""
        renamed = {name: self.spelled.get(name.casefold(), name) for name in delivery.columns}
        types, columns = _types(delivery, renamed), self.all
        wrong = [
            f"{name} is {dtype} in the file and {columns[name]} in {self.table}"
            for name, dtype in types.items()
            if name in columns and not _goes_into(dtype, columns[name])
        ]
        if wrong:
            return delivery.refuse(f"types differ: {'; '.join(wrong)}"), renamed
        for name, dtype in types.items():
            if name not in columns:
                self.added[name] = dtype if _loses_as_text(dtype) else pl.String()
                self.spelled[name.casefold()] = name
        return delivery, renamed

    def brought(self, delivery: Delivery, renamed: Mapping[str, str]) -> tuple[pl.LazyFrame, list[pl.Expr]]:
        """The rows of a delivery, and each column of the table as an expression over them."""
        given = {renamed[name]: name for name in delivery.columns}
        values = [
            (pl.col(given[name]).cast(dtype) if name in given else pl.lit(None, dtype=dtype)).alias(name)
            for name, dtype in self.all.items()
        ]
        return pl.scan_parquet(str(delivery.rows), hive_partitioning=False), values


def _types(delivery: Delivery, renamed: Mapping[str, str]) -> dict[str, pl.DataType]:
    if not delivery.rows_count:
        return {}
    schema = pl.scan_parquet(str(delivery.rows), hive_partitioning=False).collect_schema()
    return {renamed[name]: schema[name] for name in delivery.columns}


def _goes_into(dtype: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether values go into a column whole."""
    return dtype in (wanted, pl.Null) or (wanted == pl.String and not _loses_as_text(dtype))


def _loses_as_text(dtype: pl.DataType) -> bool:
    """Whether text would lose something: bytes may be no text, and nested values lose their names."""
    return dtype == pl.Binary or dtype.is_nested()
