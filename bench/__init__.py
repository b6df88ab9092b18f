"""Benchmarks: what is measured, beside what, and how the figures come about; see README.md."""

import lakehouse  # noqa: F401  # before Polars, as in every process of the product: it sets up Polars' memory
