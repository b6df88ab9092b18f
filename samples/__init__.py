"""Realistic source data of any size with counted dirt, to compare what a lakehouse finds with."""

from samples.retail import generate
from samples.truth import Truth

__all__ = ["Truth", "generate"]
