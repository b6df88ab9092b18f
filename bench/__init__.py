"""Benchmarks: what is measured, against what, and how; see README.md."""

from lakehouse.project import process_settings

process_settings.configure_polars()  # before Polars is loaded, as in every process of the product
