"""The functions with which people declare tables: `raw`, `staged`, `mart`, `sql_mart`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, get_args

import polars as pl

from lakehouse.errors import SetupError, list_problems
from lakehouse.tables.contract import Contract
from lakehouse.tables.domains import get_domain, get_prefix
from lakehouse.tables.files import PLAIN, Files
from lakehouse.tables.keyed_table import KeyedTable, Mode
from lakehouse.tables.table_types import AsOf, DerivedTable, Drift, PeriodicTable, RawTable

_MODES = ("replace", *get_args(Mode))

_SET_BY_DECORATOR = {"name", "contract", "transform", "parameters", "domain", "is_sql"}
_PERIODIC, _KEYED = (
    {field.name for field in fields(kind) if field.init} - _SET_BY_DECORATOR | {"mode"}
    for kind in (PeriodicTable, KeyedTable)
)
"""The keywords that people may use for each kind of table."""

_NOT_KEYED = {
    "partitions": "a table with keys has no partitions, because a key may move to another day",
    "lookback": "a table with keys has no partitions to look back from",
    "distinct": "in a table with keys an event that repeats another changes nothing anyway",
    "as_of": "a table with keys reads one raw table and nothing else",
}
"""Why a keyed table cannot declare what a periodic one can."""


def raw(  # noqa: PLR0913 - the keywords are the fields of `RawTable`
    name: str,
    description: str,
    *,
    columns: Mapping[str, pl.DataType] | tuple[str, ...],
    optional: tuple[str, ...] = (),
    day: pl.Expr | None = None,
    full_dumps: bool = False,
    drift: Drift = "evolve",
    aliases: Mapping[str, str] | None = None,
    files: Files = PLAIN,
    owner: str | None = None,
) -> RawTable:
    """Declares a table of landed files; for the keywords see `RawTable`.

    Raises:
        SetupError: `optional` names a column that is not declared.
    """
    module = _get_caller()
    # Names alone are text: a cast on the way in could lose what was delivered.
    typed = columns if isinstance(columns, Mapping) else dict.fromkeys(columns, pl.String())
    if unknown := sorted(set(optional) - set(typed)):
        raise SetupError(
            f"raw/{name}: `optional` names columns that are not declared: {', '.join(unknown)}.\n"
            "Next: add them to `columns`, or take them out of `optional`."
        )
    return RawTable(
        name=f"raw/{get_prefix(module)}{name}",
        description=description,
        columns=typed,
        optional=frozenset(optional),
        day=day,
        full_dumps=full_dumps,
        drift=drift,
        aliases=dict(aliases or {}),
        files=files,
        owner=owner,
        domain=get_domain(module),
    )


def staged(
    contract: type[Contract],
    **declared: Any,  # noqa: ANN401 - typed by the fields of the table types
) -> Callable[[Callable[..., pl.LazyFrame]], DerivedTable]:
    """Declares a clean, typed table: a function that adds the contract's columns to its input.

    The function takes LazyFrames named after their tables (`raw_orders` is `raw/orders`, `orders`
    is `staged/orders`) and returns one. It keeps the columns that it was given, so that a rejected
    row can be shown as it was received.

    Args:
        contract: the contract that the rows must keep.
        **declared: the fields of `PeriodicTable`; with `mode="upsert"` or `mode="history"` those of
            `KeyedTable`.

    Raises:
        SetupError: naming every keyword that does not fit the table.
    """
    return lambda transform: _build("staged", contract, transform, declared)


def mart(
    contract: type[Contract],
    **declared: Any,  # noqa: ANN401 - typed by the fields of `PeriodicTable`
) -> Callable[[Callable[..., Any]], DerivedTable]:
    """Declares a table for people: a function from tables to the contract's columns.

    Args:
        contract: the contract that the rows must keep.
        **declared: the fields of `PeriodicTable`.

    Raises:
        SetupError: naming every keyword that does not fit the table.
    """
    return lambda transform: _build("marts", contract, transform, declared)


def sql_mart(
    contract: type[Contract],
    *,
    reads: tuple[str, ...],
    **declared: Any,  # noqa: ANN401 - typed by the fields of `PeriodicTable`
) -> Callable[[Callable[[], str]], DerivedTable]:
    """Declares a mart with a query: a function that returns SQL over views, named as in `reads`.

    Args:
        contract: the contract that the rows must keep.
        reads: the tables that the query reads; the rows of the first one are accounted for.
        **declared: the fields of `PeriodicTable`.

    Raises:
        SetupError: naming every keyword that does not fit the table.
    """
    return lambda transform: _build("marts", contract, transform, declared, reads=reads)


def _build(
    layer: str,
    contract: type[Contract],
    transform: Callable[..., Any],
    declared: Mapping[str, Any],
    *,
    reads: tuple[str, ...] | None = None,
) -> DerivedTable:
    name = f"{layer}/{get_prefix(transform.__module__)}{transform.__name__}"
    parameters = reads or tuple(inspect.signature(transform).parameters)
    if not parameters:
        # The first input's rows are accounted for, so there has to be one.
        raise SetupError(
            f"{name} ({transform.__module__}): the transform reads no table.\n"
            "Next: name a table as a parameter, such as `raw_orders` or `orders`."
        )
    if problems := list(_list_keyword_problems(layer, declared)):
        raise SetupError(
            list_problems(
                f"{name} ({transform.__module__}) cannot be declared with these keywords.",
                problems,
                f"a table of this kind takes {', '.join(_list_keywords(declared))}.",
            )
        )
    common: dict[str, Any] = {
        "name": name,
        "contract": contract,
        "transform": transform,
        "parameters": parameters,
        "domain": get_domain(transform.__module__),
    }
    if declared.get("mode", "replace") != "replace":
        return KeyedTable(**common, **declared)
    # `replace` is the mode of all periodic tables, and no field of theirs.
    rest = {keyword: value for keyword, value in declared.items() if keyword != "mode"}
    rest["as_of"] = {
        parameter: as_of if isinstance(as_of, AsOf) else AsOf(as_of)
        for parameter, as_of in declared.get("as_of", {}).items()
    }
    return PeriodicTable(**common, **rest, is_sql=reads is not None)


def _list_keywords(declared: Mapping[str, Any]) -> list[str]:
    return sorted(_KEYED if declared.get("mode", "replace") in get_args(Mode) else _PERIODIC)


def _list_keyword_problems(layer: str, declared: Mapping[str, Any]) -> Iterator[str]:
    mode = declared.get("mode", "replace")
    if mode not in _MODES:
        yield f"mode is {mode!r}, it has to be one of {', '.join(_MODES)}"
        return  # which keywords fit depends on the mode
    if mode != "replace" and layer != "staged":
        yield f'mode="{mode}" is for staged tables, whose rows keep their origin'
    known = set(_list_keywords(declared))
    for keyword in sorted(set(declared) - known):
        if keyword in _KEYED:
            yield f'`{keyword}` is for tables with keys: declare mode="upsert" or mode="history"'
        elif keyword in _PERIODIC:
            yield f"`{keyword}` does not fit here: {_NOT_KEYED[keyword]}"
        else:
            similar = get_close_matches(keyword, known, n=1)
            suggestion = f"; did you mean `{similar[0]}`?" if similar else ""
            yield f"there is no keyword `{keyword}`{suggestion}"


def _get_caller() -> str:
    """Returns the name of the module that calls the public function that calls this one."""
    # Not `inspect.stack()`, which reads source files for each frame.
    frame = inspect.currentframe()
    caller = frame and frame.f_back and frame.f_back.f_back
    return str(caller.f_globals["__name__"]) if caller else ""
