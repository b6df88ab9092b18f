"""The campaign of faults: kills, writers, broken files, failing stores; `make campaign`."""

from lakehouse.project import process_settings

process_settings.configure_polars()  # before Polars is loaded, as in every process of the product
