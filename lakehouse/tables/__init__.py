"""What people need to declare tables: contracts, decorators and periods.

A domain under `assets/` or `checks/` imports from here and from no other module of the engine.
"""

from lakehouse.calendar import Daily, Days, Monthly, Weekly
from lakehouse.tables.as_of_join import join_as_of
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field, Instant
from lakehouse.tables.declare import mart, raw, sql_mart, staged
from lakehouse.tables.file_names import file_name
from lakehouse.tables.files import Files
from lakehouse.tables.keyed_table import FullDumps
from lakehouse.tables.read_numbers import read_boolean, read_number
from lakehouse.tables.read_times import read_date, read_epoch, read_excel_date, read_instant
from lakehouse.tables.table_types import AsOf, Drift

__all__ = [
    "AsOf",
    "Contract",
    "Daily",
    "Days",
    "Drift",
    "Field",
    "Files",
    "FullDumps",
    "Instant",
    "Monthly",
    "Weekly",
    "cast",
    "file_name",
    "join_as_of",
    "mart",
    "raw",
    "read_boolean",
    "read_date",
    "read_epoch",
    "read_excel_date",
    "read_instant",
    "read_number",
    "sql_mart",
    "staged",
]
