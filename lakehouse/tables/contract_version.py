"""The version of a contract: a short hash that every commit names, so that one knows what its rows were held to."""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields
from functools import cache

import pandera.polars as pa

from lakehouse.tables.code_version import describe_expression
from lakehouse.tables.contract import Contract, TableProperties, get_properties


@cache
def compute_contract_version(contract: type[Contract]) -> str:
    """A short hash of everything that a contract promises, custom checks by their source; it changes when that does."""
    schema = contract.to_schema()
    promise = [
        (
            name,
            str(c.dtype),
            c.nullable,
            sorted((c.metadata or {}).items()),
            [_said(check) for check in c.checks],
        )
        for name, c in schema.columns.items()
    ]
    table = [
        (f.name, _fact_said(getattr(get_properties(contract), f.name)))
        for f in fields(TableProperties)
    ]
    whole = [_said(check) for check in schema.checks]
    return hashlib.sha256(repr((promise, table, whole, _sources(contract))).encode()).hexdigest()[
        :12
    ]


def _said(check: pa.Check) -> tuple[str, ...]:
    """A check in words that are the same in every process; a set has no order of its own."""
    given = {
        name: sorted(map(repr, value)) if isinstance(value, set | frozenset) else value
        for name, value in (check.statistics or {}).items()
    }
    return (
        check.name or "",
        repr(sorted(given.items())),
        str(check.ignore_na),
        str(check.element_wise),
    )


def _fact_said(fact: object) -> str:
    if isinstance(fact, Mapping):
        return repr([(name, describe_expression(rule)) for name, rule in fact.items()])
    return str(fact)


def _sources(contract: type[Contract]) -> list[str]:
    """The source of every method of a contract: its custom checks, and what they call on it."""
    methods = [
        value.__func__ if isinstance(value, classmethod | staticmethod) else value
        for kind in contract.__mro__[: contract.__mro__.index(Contract)]
        for value in vars(kind).values()
    ]
    named = {
        m.__qualname__: m
        for m in methods
        if inspect.isfunction(m) and m.__module__ != Contract.__module__
    }
    return [inspect.getsource(method) for _, method in sorted(named.items())]
