"""The checks of a contract as Polars expressions: one lazy pass finds every rule that a row breaks.

Belongs here: turning Pandera checks into expressions, and combining these for the pass. A missing
value keeps every rule but one: whether it may be missing is a rule of its own
(`default_rules.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl

from lakehouse.errors import SetupError, list_problems, summarize_error
from lakehouse.system_columns import BROKEN
from lakehouse.tables.casting import UNREAD
from lakehouse.tables.contract import (
    Contract,
    get_properties,
    list_columns,
    to_polars_schema,
)
from lakehouse.tables.contract_checks import check_contract
from lakehouse.tables.default_rules import list_default_rules
from lakehouse.tables.patterns import find_within, get_text, match_whole
from lakehouse.tables.row_conditions import find_other_rows
from lakehouse.tables.whole_numbers import find_wrapping
from lakehouse.wording import format_count

_VERDICT = "_verdict_"


@dataclass(frozen=True)
class Rule:
    """One rule of a contract.

    Attributes:
        name: the rule as people read it, such as `unit_price >= 0`.
        holds: true where a row keeps the rule, false where it breaks it; never null.
        compiled: false where the check runs as Pandera runs it, over whole columns in memory.
        is_about_day: whether it asks that a row keeps the day of its period.
    """

    name: str
    # With a null, a row would be neither among the valid rows nor among the rejected ones.
    holds: pl.Expr
    compiled: bool = True
    is_about_day: bool = False


_Compiler = Callable[[pl.Expr, Mapping[str, Any]], tuple[str, pl.Expr]]


def _between(c: pl.Expr, s: Mapping[str, Any]) -> tuple[str, pl.Expr]:
    low = c >= s["min_value"] if s.get("include_min", True) else c > s["min_value"]
    high = c <= s["max_value"] if s.get("include_max", True) else c < s["max_value"]
    return f"between {s['min_value']} and {s['max_value']}", low & high


def _length(c: pl.Expr, s: Mapping[str, Any]) -> tuple[str, pl.Expr]:
    if s.get("exact_value") is not None:
        return f"has {s['exact_value']} characters", c.str.len_chars() == s["exact_value"]
    low, high = s.get("min_value"), s.get("max_value")
    holds = c.str.len_chars().is_between(
        low if low is not None else 0, high if high is not None else 2**31
    )
    if low is not None and high is None:
        return f"has at least {format_count(low, 'character')}", holds
    if low is None and high is not None:
        return f"has at most {format_count(high, 'character')}", holds
    return f"has {low} to {high} characters", holds


# Each verdict is Pandera's own; a test compares them on random rows, check by check.
_COMPILERS: dict[str, _Compiler] = {
    "equal_to": lambda c, s: (f"= {s['value']}", c == s["value"]),
    "not_equal_to": lambda c, s: (f"!= {s['value']}", c != s["value"]),
    "greater_than": lambda c, s: (f"> {s['min_value']}", c > s["min_value"]),
    "greater_than_or_equal_to": lambda c, s: (f">= {s['min_value']}", c >= s["min_value"]),
    "less_than": lambda c, s: (f"< {s['max_value']}", c < s["max_value"]),
    "less_than_or_equal_to": lambda c, s: (f"<= {s['max_value']}", c <= s["max_value"]),
    "in_range": _between,
    "isin": lambda c, s: ("is a known value", c.is_in(list(s["allowed_values"]))),
    "notin": lambda c, s: ("is not a forbidden value", ~c.is_in(list(s["forbidden_values"]))),
    "str_matches": lambda c, s: (
        f"matches {get_text(s['pattern'])}",
        c.str.contains(match_whole(s["pattern"])),
    ),
    "str_contains": lambda c, s: (
        f"contains {get_text(s['pattern'])}",
        c.str.contains(find_within(s["pattern"])),
    ),
    "str_startswith": lambda c, s: (f"starts with {s['string']}", c.str.starts_with(s["string"])),
    "str_endswith": lambda c, s: (f"ends with {s['string']}", c.str.ends_with(s["string"])),
    "str_length": _length,
}


def compile_rules(contract: type[Contract]) -> tuple[Rule, ...]:
    """Returns every row rule of a contract: those of its types, then its checks in declared order.

    Raises:
        SetupError: the contract makes no sense, or a check does not fit its column's type.
    """
    check_contract(contract)
    schema = contract.to_schema()
    names, types = tuple(schema.columns), to_polars_schema(contract)
    rules = [
        Rule(name, holds)
        for column in list_columns(contract)
        for name, holds in list_default_rules(column)
    ]
    for name, column in schema.columns.items():
        rules += [_compile(name, types[name], check, names) for check in column.checks]
    rules += [_interpret(None, check, names) for check in schema.checks]
    rules += [
        Rule(name, holds.fill_null(True))
        for name, holds in get_properties(contract).row_rules.items()
    ]
    _check_rules(contract, rules)
    return tuple(rules)


def _compile(column: str, dtype: pl.DataType, check: pa.Check, names: tuple[str, ...]) -> Rule:
    compiler = _COMPILERS.get(check.name or "")
    # A check of a person's own may have the name of a known one; it has no statistics.
    if compiler is None or check.element_wise or not check.statistics:
        return _interpret(column, check, names)
    # NaN is neither above a bound nor below it. Like a missing value, it has a rule of its own.
    value = pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)
    statistics = {name: _fit_bound(bound, dtype) for name, bound in check.statistics.items()}
    text, holds = compiler(value, statistics)
    # A missing value keeps a check, unless the check asks to see it.
    return Rule(f"{column} {text}", holds.fill_null(bool(check.ignore_na)))


# Delta Lake has no unsigned numbers.
_BITS: Mapping[pl.DataType, int] = {pl.Int8(): 8, pl.Int16(): 16, pl.Int32(): 32, pl.Int64(): 64}


def _fit_bound(bound: Any, dtype: pl.DataType) -> Any:  # noqa: ANN401 - any argument of a check
    """Returns an argument of a check with its numbers of the column's kind, to compare exactly."""
    if isinstance(bound, list | tuple | set | frozenset):
        return [_fit_listed(one, dtype) for one in _drop_impossible(bound, dtype)]
    # Beside a real number, Polars would make doubles of a whole column, which cannot hold each
    # whole number beyond 2^53.
    is_whole = isinstance(bound, float) and bound.is_integer()
    return int(bound) if is_whole and dtype.is_integer() else bound


def _fit_listed(value: Any, dtype: pl.DataType) -> Any:  # noqa: ANN401
    # A list that mixes whole and real numbers has no type in Polars.
    if dtype.is_float() and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _fit_bound(value, dtype)


def _drop_impossible(values: Iterable[Any], dtype: pl.DataType) -> list[Any]:
    """Returns listed values without those that no whole number of a column is equal to."""
    bits = _BITS.get(dtype)
    if bits is None:
        return list(values)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return [
        value
        for value in values
        if not isinstance(value, int | float) or (low <= value <= high and value == int(value))
    ]


def _interpret(column: str | None, check: pa.Check, names: tuple[str, ...]) -> Rule:
    """Returns the rule of a check that only Pandera can run, over the whole table in memory."""

    # All columns go in: a check of one column may read others beside it.
    def run(rows: pl.Series) -> pl.Series:
        frame = rows.struct.unnest().lazy()
        output = check(frame, column).check_output
        verdict = (output.collect() if isinstance(output, pl.LazyFrame) else output).to_series()
        if len(verdict) == len(rows):
            return verdict
        # One verdict for all rows.
        return pl.repeat(verdict[0], len(rows), dtype=pl.Boolean, eager=True)

    name = check.name or "check"
    holds = pl.struct(names).map_batches(run, return_dtype=pl.Boolean).fill_null(True)
    return Rule(f"{column}: {name}" if column else name, holds, compiled=False)


def _check_rules(contract: type[Contract], rules: Sequence[Rule]) -> None:
    """Runs every compiled rule on no rows: Polars names what does not fit.

    Raises:
        SetupError: naming every rule that does not fit its columns.
    """
    empty = pl.LazyFrame(schema=to_polars_schema(contract))
    counted = Counter(rule.name for rule in rules)
    problems = [
        f"{name}: {count} rules have this name" for name, count in counted.items() if count > 1
    ]
    problems += _find_row_rule_problems(contract, empty)
    for rule in rules:
        if not rule.compiled:
            continue
        try:
            empty.select(rule.holds).collect()
        except pl.exceptions.PolarsError as error:
            problems.append(f"{rule.name}: {summarize_error(error)}")
    problems += _find_table_rule_problems(contract, empty)
    if problems:
        raise SetupError(
            list_problems(
                f"Contract {contract.__name__} ({contract.__module__}) has rules that do not fit "
                "its columns.",
                problems,
                "correct the field or its type; no data was touched.",
            )
        )


def _find_row_rule_problems(contract: type[Contract], empty: pl.LazyFrame) -> Iterator[str]:
    for name, holds in get_properties(contract).row_rules.items():
        if (problem := find_other_rows(holds)) is not None:
            yield f"row rule {name}: {problem}; what is true of all rows belongs in `rules`"
            continue
        verdict = empty.select(verdict=holds)
        try:
            dtype = verdict.collect_schema()["verdict"]
        except pl.exceptions.PolarsError:
            continue  # named with the other rules
        yield from (f"row rule {name}: {problem}" for problem in find_wrapping(verdict))
        if dtype != pl.Boolean:
            yield f"row rule {name}: it is {dtype}, it has to be true or false"


def _find_table_rule_problems(contract: type[Contract], empty: pl.LazyFrame) -> Iterator[str]:
    for name, holds in get_properties(contract).rules.items():
        try:
            answer = empty.select(holds).collect()
        except pl.exceptions.PolarsError as error:
            yield f"table rule {name}: {summarize_error(error)}"
            continue
        # On no rows, too, an aggregate gives one row: anything else is a rule of rows.
        if answer.shape != (1, 1) or answer.dtypes != [pl.Boolean]:
            yield (
                f"table rule {name}: it has to return one true or false for the table, "
                "such as `.all()`"
            )


def list_unread_rules(schema: pl.Schema) -> tuple[Rule, ...]:
    """Returns the rules `<column> can be read`, from the columns that `cast` added to a frame."""
    names = [name for name in schema.names() if name.startswith(UNREAD)]
    return tuple(Rule(f"{name.removeprefix(UNREAD)} can be read", ~pl.col(name)) for name in names)


def precompute_interpreted(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, ...], list[pl.Expr]]:
    """Returns rules whose interpreted checks read a column, and the expressions of these columns.

    An interpreted check needs the whole table, so its column is added before the rows are split.
    """
    columns = {n: f"{_VERDICT}{n}" for n, rule in enumerate(rules) if not rule.compiled}
    read = tuple(
        Rule(rule.name, pl.col(columns[n]), compiled=False) if n in columns else rule
        for n, rule in enumerate(rules)
    )
    return read, [rules[n].holds.alias(name) for n, name in columns.items()]


def keeps_all_rules(rules: tuple[Rule, ...]) -> pl.Expr:
    """Returns an expression that is true where a row keeps every rule."""
    return pl.all_horizontal(rule.holds for rule in rules) if rules else pl.lit(True)


def list_broken_rules(rules: tuple[Rule, ...]) -> pl.Expr:
    """Returns the names of the rules that a row breaks, as a list of text."""
    names = [pl.when(~rule.holds).then(pl.lit(rule.name)) for rule in rules]
    if not names:
        return pl.lit([], dtype=pl.List(pl.String)).alias(BROKEN)
    return pl.concat_list(names).list.drop_nulls().alias(BROKEN)
