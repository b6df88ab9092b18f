"""Realistic source data of any size with counted dirt, to compare what a lakehouse finds with."""

from samples.retail import DOMAIN, add_days, find_today, generate, generate_latest
from samples.truth import Truth

__all__ = ["DOMAIN", "Truth", "add_days", "find_today", "generate", "generate_latest"]
