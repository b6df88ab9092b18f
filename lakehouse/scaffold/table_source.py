"""The source of a table: its raw declaration, staged transform and mart, its contract, its test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from lakehouse.ingest.files.recognize.declaration_text import write_files, write_value
from lakehouse.observe.profile.profiles import FileProfile
from lakehouse.scaffold.column_source import ColumnSource
from lakehouse.scaffold.python_names import make_class_name, make_names

_KEY = re.compile(r"(?:^|_)(?:id|key|uuid|guid|no|nr|number|code)(?:_\d+)?$")
_LONGEST_DAILY = timedelta(days=400)
_LONGEST_MONTHLY = timedelta(days=365 * 40)
_FACE = (
    *("Daily", "Files", "Monthly", "cast", "mart", "raw", "read_boolean", "read_date"),
    *("read_instant", "read_number", "staged"),
)
_SPARSE = timedelta(days=60)
_FEW_ROWS = 50
_ROWS_A_MONTH = 5


@dataclass(frozen=True)
class TableSource:
    """A table that is to be written.

    Attributes:
        domain: the folder under `assets/`.
        table: the name of the table.
        checks: the module of its contract under `checks/`.
        profile: what a file of it holds.
    """

    domain: str
    table: str
    checks: str
    profile: FileProfile

    @property
    def columns(self) -> list[ColumnSource]:
        """Its columns."""
        names = make_names([column.name for column in self.profile.columns])
        rows = self.profile.looked_at
        return [
            ColumnSource(column, name, rows)
            for column, name in zip(self.profile.columns, names, strict=True)
        ]

    @property
    def contract(self) -> str:
        """The name of its contract."""
        return make_class_name(self.table)

    @property
    def event(self) -> ColumnSource | None:
        """The column that gives a row its day; None if the table has no partitions."""
        found = [one for one in self.columns if one.profile.name == self.profile.event_time]
        if not found or found[0].is_nullable or found[0].profile.unread:
            return None
        least, greatest = self._span(found[0])
        rows, span = self.profile.looked_at, greatest - least
        is_sparse = span > _SPARSE and rows < max(_FEW_ROWS, _ROWS_A_MONTH * (span.days // 30))
        if span > _LONGEST_MONTHLY or is_sparse:
            return None
        return found[0]

    @staticmethod
    def _span(event: ColumnSource) -> tuple[date, date]:
        least, greatest = event.profile.least or "", event.profile.greatest or ""
        return date.fromisoformat(least[:10]), date.fromisoformat(greatest[:10])

    @property
    def is_daily(self) -> bool:
        """Whether it is made day by day; otherwise month by month, or whole."""
        if self.event is None:
            return False
        least, greatest = self._span(self.event)
        return greatest - least <= _LONGEST_DAILY

    @property
    def day_name(self) -> str | None:
        """The name of its column of days."""
        if self.event is None:
            return None
        if self.event.kind == "day":
            return self.event.name
        names = [one.name for one in self.columns]
        tries = ("event_date", "event_day", "day_of_event", "date_of_event")
        return next(name for name in tries if name not in names)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a record: unique in the sample, and called so."""
        named = {one.profile.name: one.name for one in self.columns if _KEY.search(one.name)}
        keys = [key for key in self.profile.keys if all(name in named for name in key)]
        return tuple(named[name] for name in keys[0]) if keys else ()

    def write_tables(self) -> str:
        """Returns the module under `assets/`: raw, staged, and a mart where there are days."""
        parts = [self._write_raw(), self._write_staged(), *self._write_mart()]
        if self.event is not None:
            least, _ = self._span(self.event)
            period = "Daily" if self.is_daily else "Monthly"
            begin = f"PERIODS = {period}(date({least.year}, 1, 1))"
            parts = [f"{begin}\nDAY = {self.event.write_day()}\n\n{parts[0]}", *parts[1:]]
        body = "\n\n\n".join(parts)
        return f"{self._write_imports(body)}\n\n{body}\n"

    def _write_imports(self, body: str) -> str:
        contracts = [self.contract, *([f"{self.contract}Day"] if self.is_daily else [])]
        used = [name for name in _FACE if re.search(rf"\b{name}\(", body)]
        polars = ["LazyFrame", *(["col"] if re.search(r"\bcol\(", body) else [])]
        lines = [f'"""From the files of {self.table} to typed rows."""', ""]
        if re.search(r"\bdate\(", body):
            lines += ["from datetime import date", ""]
        if "pl." in body:
            lines.append("import polars as pl")
        lines += [f"from polars import {', '.join(polars)}", ""]
        lines.append(f"from checks.{self.checks} import {', '.join(contracts)}")
        return "\n".join([*lines, f"from lakehouse.tables import {', '.join(used)}"])

    def _write_raw(self) -> str:
        is_typed = any(one.profile.reading is None for one in self.columns)
        if is_typed:
            pairs = (
                f"        {write_value(one.profile.name)}: {one.write_raw_type()},"
                for one in self.columns
            )
            columns = "\n".join(["    columns={", *pairs, "    },"])
        else:
            names = (f"        {write_value(one.profile.name)}," for one in self.columns)
            columns = "\n".join(["    columns=(", *names, "    ),"])
        lines = [f"raw_{self.table} = raw(", f"    {write_value(self.table)},"]
        lines += ['    "Fill in: who delivers these files, and how often.",', columns]
        if self.profile.files.list_changed():
            lines.append(f"    files={write_files(self.profile.files)},")
        if self.event is not None:
            lines.append("    day=DAY,")
        return "\n".join([*lines, ")"])

    def _write_staged(self) -> str:
        periods = ", partitions=PERIODS" if self.event is not None else ""
        source = f"raw_{self.table}"
        lines = [f"@staged({self.contract}{periods})"]
        lines += [f"def {self.table}({source}: LazyFrame) -> LazyFrame:"]
        lines += [f'    """Typed rows of {self.table}."""']
        marked: dict[tuple[str, ...], list[str]] = {}
        for one in self.columns:
            if one.marks:
                marked.setdefault(tuple(sorted(one.marks)), []).append(one.profile.name)
        if marked:
            lines.append(f"    known = {source}.with_columns(")
            for marks, names in marked.items():
                columns = ", ".join(map(write_value, names))
                lines.append(f"        col({columns}).replace({write_value(list(marks))}, None),")
            lines.append("    )")
        lines += ["    return cast(", f"        {'known' if marked else source},"]
        lines += [f"        {one.name}={one.write_cast()}," for one in self.columns]
        if self.event is not None and self.event.kind != "day":
            lines.append(f"        {self.day_name}=DAY,")
        return "\n".join([*lines, "    )"])

    def _write_mart(self) -> Iterator[str]:
        if not self.is_daily:
            return
        yield "\n".join(
            [
                f"@mart({self.contract}Day, partitions=PERIODS)",
                f"def {self.table}_days({self.table}: LazyFrame) -> LazyFrame:",
                f'    """How many rows of {self.table} each day has."""',
                f'    by_day = {self.table}.group_by("{self.day_name}")',
                "    return by_day.agg(rows=pl.len().cast(pl.Int64))",
            ]
        )

    def write_contract(self) -> str:
        """Returns the module under `checks/`."""
        fields = [line for one in self.columns for line in one.write_field()]
        if self.event is not None and self.event.kind != "day":
            fields.append(f'    {self.day_name}: date = Field(description="The day, as delivered")')
        table = self._write_table_class()
        classes = [
            f'class {self.contract}(Contract):\n    """Fill in: what one row stands for."""\n',
            "\n".join(fields),
            "",
            table,
        ]
        if self.is_daily:
            classes += ["", "", self._write_day_contract()]
        body = "\n".join(classes)
        lines = [f'"""What the tables of {self.table} promise."""', ""]
        standard = ["from datetime import date"] if re.search(r": date\b", body) else []
        standard += ["from typing import Annotated"] if ": Annotated[" in body else []
        lines += [*standard, ""] if standard else []
        # In the order of ruff: the engine is a package of others, as Polars is.
        names = ["Contract", "Field", *(["Instant"] if ": Instant" in body else [])]
        lines += ["import polars as pl"] if "pl." in body else []
        lines += [f"from lakehouse.tables import {', '.join(names)}", "", ""]
        return "\n".join(lines) + body + "\n"

    def _write_table_class(self) -> str:
        lines = ["    class Table:"]
        if self.key:
            lines.append(f"        key = {write_value(self.key)}  # unique in the sample")
        elif self.profile.keys:
            lines.append("        # fill in the key, if there is one: key = (...)")
        if self.event is not None:
            lines.append(f"        event_time = {write_value(self.event.name)}")
            lines.append(f"        date_column = {write_value(self.day_name)}")
        lines.append("        max_quarantined = 0.1")
        return "\n".join(lines)

    def _write_day_contract(self) -> str:
        return f'''class {self.contract}Day(Contract):
    """How many rows one day has."""

    {self.day_name}: date = Field(description="The day, as delivered")
    rows: pl.Int64 = Field(ge=1, description="How many rows it has")

    class Table:
        key = ({write_value(self.day_name)},)
        event_time = {write_value(self.day_name)}
        date_column = {write_value(self.day_name)}
        counts = "rows"
        max_quarantined = 0.0'''
