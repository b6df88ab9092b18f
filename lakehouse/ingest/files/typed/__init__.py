"""Formats that know types, and workbooks: Parquet, Arrow, Avro, ORC and Excel."""
