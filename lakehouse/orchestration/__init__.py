"""Dagster's view of the engine: the only package that imports dagster."""
