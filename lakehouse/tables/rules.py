"""A contract's checks as Polars expressions, so that one lazy pass finds every broken rule of a row.

Belongs here: turning Pandera checks into expressions, and typed casts that remember what they could not read.
A missing value keeps every rule but one: whether it may be missing is a rule of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl

from lakehouse.errors import SetupError, list_problems, summarize_error
from lakehouse.system_columns import BROKEN
from lakehouse.tables.contract import (
    Column,
    Contract,
    check_contract,
    get_properties,
    list_columns,
    to_polars_schema,
)

_TYPED = "_typed_"
UNREAD = "_unread_"
"""Prefix of the columns by which `cast` remembers where a value was there and could not be read."""
_VERDICT = "_verdict_"


@dataclass(frozen=True)
class Rule:
    """One rule of a contract.

    Attributes:
        name: the rule as a reader would say it, e.g. `unit_price >= 0`.
        holds: true where a row keeps the rule.
        compiled: false where the check runs as Pandera runs it, over whole columns in memory.
    """

    name: str
    holds: pl.Expr
    compiled: bool = True


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
    return (
        f"has {low if low is not None else 0} to {high if high is not None else 'any'} characters",
        holds,
    )


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
        f"matches {_text(s['pattern'])}",
        c.str.contains(_anchored(s["pattern"])),
    ),
    "str_contains": lambda c, s: (
        f"contains {_text(s['pattern'])}",
        c.str.contains(_text(s["pattern"])),
    ),
    "str_startswith": lambda c, s: (f"starts with {s['string']}", c.str.starts_with(s["string"])),
    "str_endswith": lambda c, s: (f"ends with {s['string']}", c.str.ends_with(s["string"])),
    "str_length": _length,
}


def _text(pattern: Any) -> str:  # noqa: ANN401
    return pattern if isinstance(pattern, str) else str(pattern.pattern)


def _anchored(pattern: Any) -> str:  # noqa: ANN401
    text = _text(pattern)
    return text if text.startswith("^") else f"^{text}"


def compile_rules(contract: type[Contract]) -> tuple[Rule, ...]:
    """Every row rule of a contract: presence first, then its checks in declared order.

    Raises:
        SetupError: the contract makes no sense, or a check does not fit its column's type.
    """
    check_contract(contract)
    schema = contract.to_schema()
    present = [
        Rule(f"{c.name} is present", _is_present(c))
        for c in list_columns(contract)
        if not c.nullable
    ]
    names = tuple(schema.columns)
    checked = [
        _compiled(name, check, names)
        for name, column in schema.columns.items()
        for check in column.checks
    ]
    whole = [_interpreted(None, check, names) for check in schema.checks]
    rules = (*present, *checked, *whole)
    _prove_rules(contract, rules)
    return rules


def _is_present(column: Column) -> pl.Expr:
    """Not a number is missing too, as Pandera sees it: no bound would stop it, for it is larger than every number."""
    value = pl.col(column.name)
    return (
        value.is_not_null() & value.is_not_nan().fill_null(True)
        if column.dtype.is_float()
        else value.is_not_null()
    )


def _compiled(column: str, check: pa.Check, names: tuple[str, ...]) -> Rule:
    compiler = _COMPILERS.get(check.name or "")
    if compiler is None or check.element_wise or not check.statistics:
        return _interpreted(column, check, names)
    words, holds = compiler(pl.col(column), check.statistics)
    return Rule(
        f"{column} {words}", holds.fill_null(True) if check.ignore_na else holds.fill_null(False)
    )


def _interpreted(column: str | None, check: pa.Check, names: tuple[str, ...]) -> Rule:
    """A check that only Pandera can run: it sees the whole table, and its verdict comes back as one more column."""

    def run(rows: pl.Series) -> pl.Series:
        frame = rows.struct.unnest().lazy()
        output = check(frame, column).check_output
        verdict = (output.collect() if isinstance(output, pl.LazyFrame) else output).to_series()
        return (
            verdict
            if len(verdict) == len(rows)
            else pl.repeat(verdict[0], len(rows), dtype=pl.Boolean, eager=True)
        )

    name = check.name or "check"
    holds = pl.struct(names).map_batches(run, return_dtype=pl.Boolean).fill_null(True)
    return Rule(f"{column}: {name}" if column else name, holds, compiled=False)


def _prove_rules(contract: type[Contract], rules: tuple[Rule, ...]) -> None:
    """Run every compiled rule on no rows: Polars names what does not fit."""
    empty = pl.LazyFrame(schema=to_polars_schema(contract))
    problems = []
    for rule in (rule for rule in rules if rule.compiled):
        try:
            empty.select(rule.holds).collect()
        except pl.exceptions.PolarsError as error:
            problems.append(f"{rule.name}: {summarize_error(error)}")
    for name, holds in get_properties(contract).rules.items():
        try:
            answer = empty.select(holds).collect()
        except pl.exceptions.PolarsError as error:
            problems.append(f"table rule {name}: {summarize_error(error)}")
        else:
            if answer.shape != (1, 1) or answer.dtypes != [pl.Boolean]:
                problems.append(
                    f"table rule {name}: it has to give one true or false for the table, such as `.all()`"
                )
    if problems:
        headline = f"Contract {contract.__name__} ({contract.__module__}) has rules that do not fit its columns."
        raise SetupError(
            list_problems(headline, problems, "mend the field or its type; no data was touched.")
        )


def cast(lf: pl.LazyFrame, **typed: pl.Expr) -> pl.LazyFrame:
    """Add typed columns, and remember where a value was there but could not be read.

    Write the casts with `strict=False`: what cannot be read becomes null here, and the engine quarantines its row
    under the rule `<column> can be read`, nullable or not. A text of blanks counts as missing.

    Args:
        lf: rows with the columns that the expressions need.
        **typed: the new columns, each an expression over source columns.
    """
    schema = lf.collect_schema()
    # Each cast is made once, under a name of its own, because a typed column may take the name of its source.
    made = {f"{_TYPED}{name}": expr for name, expr in typed.items()}
    read = {name: pl.col(f"{_TYPED}{name}") for name in typed}
    unread = {
        f"{UNREAD}{name}": _was_given(expr, schema, read[name].is_null())
        for name, expr in typed.items()
    }
    unread = {
        name: pl.col(name) | expr if name in schema else expr for name, expr in unread.items()
    }
    return lf.with_columns(**made).with_columns(**unread, **read).drop(made)


def _was_given(expr: pl.Expr, schema: pl.Schema, where: pl.Expr) -> pl.Expr:
    """Whether all that an expression needs was there, in the rows where this matters; false in the others."""
    given = [
        # Blanking the other rows before they are looked at makes the good case, in which none matters, nearly free.
        pl.when(where).then(pl.col(name)).str.strip_chars().ne("").fill_null(False)
        if schema.get(name) == pl.String
        else pl.col(name).is_not_null()
        for name in dict.fromkeys(expr.meta.root_names())
    ]
    return pl.all_horizontal(where, *given) if given else pl.lit(False)


def list_unread_rules(schema: pl.Schema) -> tuple[Rule, ...]:
    """The rules that `cast` left behind in a frame."""
    names = [name for name in schema.names() if name.startswith(UNREAD)]
    return tuple(Rule(f"{name.removeprefix(UNREAD)} can be read", ~pl.col(name)) for name in names)


def precompute_interpreted(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, ...], list[pl.Expr]]:
    """The rules with the verdicts of checks that see the whole table as columns, to be added before rows are parted."""
    columns = {n: f"{_VERDICT}{n}" for n, rule in enumerate(rules) if not rule.compiled}
    read = tuple(
        Rule(rule.name, pl.col(columns[n]), compiled=False) if n in columns else rule
        for n, rule in enumerate(rules)
    )
    return read, [rules[n].holds.alias(name) for n, name in columns.items()]


def keeps_all_rules(rules: tuple[Rule, ...]) -> pl.Expr:
    """True where a row keeps every rule."""
    return pl.all_horizontal(rule.holds for rule in rules) if rules else pl.lit(True)


def list_broken_rules(rules: tuple[Rule, ...]) -> pl.Expr:
    """The names of the rules that a row breaks, as a list of text."""
    names = [pl.when(~rule.holds).then(pl.lit(rule.name)) for rule in rules]
    return (
        pl.concat_list(names).list.drop_nulls() if names else pl.lit([], dtype=pl.List(pl.String))
    ).alias(BROKEN)
