"""A lakehouse engine on Delta Lake, Polars and DuckDB that accounts for every row."""
