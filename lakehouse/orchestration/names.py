"""The names by which Dagster knows a table, and the resource that holds the environment."""

import dagster as dg

RESOURCE = "environment"


def to_asset_key(table: str) -> dg.AssetKey:
    """Returns the asset key of a table: its layer, then its name."""
    return dg.AssetKey(table.split("/"))
