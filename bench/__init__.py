"""Benchmarks: what is measured, beside what, and how the figures come about; see README.md."""

from lakehouse import process_settings

process_settings.configure_polars()  # before Polars is loaded, as in every process of the product
