"""Believable source data of any size, with counted dirt: to try the lakehouse on, and to hold it against the counts."""

from samples.retail import generate
from samples.truth import Truth

__all__ = ["Truth", "generate"]
