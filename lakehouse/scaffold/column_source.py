"""The source of one column: its field in the contract, and its cast in the transform."""

import re
from dataclasses import dataclass

import polars as pl

from lakehouse.ingest.files.recognize.declaration_text import write_value
from lakehouse.observe.profile.profiles import ColumnProfile
from lakehouse.scaffold.type_source import write_annotation, write_type

_TYPES = {
    "whole": "pl.Int64",
    "real": "float",
    "day": "date",
    "instant": "Instant",
    "local time": "Instant",
    "yes or no": "bool",
    "text": "str",
}
_DTYPES = {"Int8": "whole", "Int16": "whole", "Int32": "whole", "Int64": "whole", "UInt8": "whole"}
_DTYPES |= {"UInt16": "whole", "UInt32": "whole", "Float32": "real", "Float64": "real"}
_DTYPES |= {"Boolean": "yes or no", "day": "day", "instant": "instant", "local time": "local time"}
_MONEY = re.compile(
    r"amount|price|cost|fee(?!d)|revenue|total|balance|salary|wage|tip|fare|toll|payment|net|gross"
    r"|betrag|preis|kosten|geb(?:ü|ue)hr|umsatz|saldo|summe|lohn|gehalt|[$€£¥]|\b(?:eur|usd|gbp|chf)\b",
    re.IGNORECASE,
)
_CENTS = 2
_EXACT = "18, 2"
"""Digits of money in all, and after the point: exact up to 16 digits before it."""
_FEW = 8
_LONGEST = 20


@dataclass(frozen=True)
class ColumnSource:
    """A column of a file, and what is written for it.

    Attributes:
        profile: what it holds.
        name: its name in the contract.
        rows: how many values were looked at.
    """

    profile: ColumnProfile
    name: str
    rows: int

    @property
    def kind(self) -> str:
        """What its values are: whole, real, day, instant, local time, yes or no, text, typed."""
        if self.profile.reading is not None:
            return self.profile.reading.kind
        if self.profile.dtype in (None, pl.String, pl.Null):
            return "text"
        return _DTYPES.get(self.profile.type, "typed")

    @property
    def is_money(self) -> bool:
        """Whether it seems to be money: two decimals in each value, and a name or sign of it."""
        profile = self.profile
        if self.kind != "real" or profile.decimals != _CENTS or profile.reading is None:
            return False
        options = profile.reading.options
        is_named = bool(_MONEY.search(profile.name.replace("_", " ")))
        return "percent" not in options and ("currency" in options or is_named)

    @property
    def marks(self) -> list[str]:
        """Texts that stand for null in it; in a text they may be values."""
        return [] if self.kind == "text" else list(self.profile.marks)

    @property
    def is_nullable(self) -> bool:
        """Whether it may be null: some value is, or most rows are unknown."""
        return bool(self.profile.nulls or self.marks)

    def write_raw_type(self) -> str:
        """Returns its type in the raw table: that of the file, where it has types."""
        return "pl.String()" if self.profile.dtype is None else write_type(self.profile.dtype)

    def _write_annotation(self) -> str:
        if self.kind == "typed" and self.profile.dtype is not None:
            return write_annotation(self.profile.dtype)
        if self.is_money:
            return f"Annotated[pl.Decimal, {_EXACT}]"
        return _TYPES[self.kind]

    def write_cast(self) -> str:
        """Returns the expression that reads it."""
        delivered, reading = write_value(self.profile.name), self.profile.reading
        if reading is None:
            return self._write_typed(delivered)
        options = "".join(f", {key}={write_value(v)}" for key, v in reading.options.items())
        formats = "".join(f", {write_value(one)}" for one in reading.formats)
        exact = f", pl.Decimal({_EXACT})" if self.is_money else ""
        casts = {
            "whole": f"read_number({delivered}, pl.Int64{options})",
            "real": f"read_number({delivered}{exact}{options})",
            "yes or no": f"read_boolean({delivered}{options})",
            "day": f"read_date({delivered}{formats})",
            "instant": f"read_instant({delivered}{formats})",
            "local time": f'read_instant({delivered}{formats}, time_zone="UTC")',
        }
        return casts.get(self.kind, f"col({delivered})")

    def _write_typed(self, delivered: str) -> str:
        targets = {"whole": ".cast(pl.Int64)", "real": ".cast(pl.Float64)"}
        return f"col({delivered}){targets.get(self.kind, '')}"

    def write_day(self) -> str:
        """Returns the expression for the day of its times, as they are written."""
        delivered, reading = write_value(self.profile.name), self.profile.reading
        if reading is None:
            return f"col({delivered})" + ("" if self.kind == "day" else ".dt.date()")
        if self.kind == "instant":
            return f'read_date(col({delivered}).str.head(10), "%Y-%m-%d")'
        formats = ", ".join(map(write_value, reading.formats))
        return f"read_date({delivered}, {formats})"

    def write_field(self) -> list[str]:
        """Returns the lines of its field in the contract, with what people should look at."""
        options = ["nullable=True"] if self.is_nullable else []
        if self.profile.personal:
            options.append("pii=True")
        options.append('description="Fill in"')
        note = self._describe()
        lines = [f"    # {note}"] if note else []
        return [
            *lines,
            f"    {self.name}: {self._write_annotation()} = Field({', '.join(options)})",
        ]

    def _describe(self) -> str:
        """Returns a comment for people; it quotes nothing that may be personal."""
        profile = self.profile
        if profile.personal:
            return f"suspected personal data: {profile.personal}"
        if profile.doubt:
            return f"fill in: it is text, because {profile.doubt}"
        if self.kind == "local time":
            return "fill in the zone of these local times, in the transform"
        if self.kind in ("whole", "real", "day") and profile.least is not None:
            return f"in the sample: {profile.least} to {profile.greatest}"
        values = [value for value, _ in profile.top]
        is_short = all(len(value) <= _LONGEST and value.isprintable() for value in values)
        is_category = 0 < profile.distinct <= min(len(values), self.rows // _FEW)
        if self.kind == "text" and is_category and is_short:
            return f"perhaps isin={write_value(tuple(sorted(values)))}"
        return ""
