"""The test of a new table: its samples become the rows that they became at the first trial."""

from collections.abc import Mapping, Sequence

import polars as pl

from lakehouse.ingest.files.recognize.declaration_text import write_value
from lakehouse.scaffold.table_source import TableSource
from lakehouse.scaffold.trial import TrialOutcome

_LONGEST = 75


def write_test(source: TableSource, samples: Sequence[str], outcome: TrialOutcome | None) -> str:
    """Returns a test that runs samples through a table; it quotes nothing that may be personal.

    Args:
        source: the table.
        samples: paths of the samples, or patterns for them.
        outcome: what became of them; None if that was not tried.
    """
    checks = [] if outcome is None else _list_checks(source, outcome)
    table = write_value(source.table)
    given = ",\n".join(f"    {write_value(one)}" for one in samples)
    found = f"find_samples(\n{given},\n)"
    if len(samples) == 1 and len(samples[0]) < _LONGEST:
        found = f"find_samples({write_value(samples[0])})"
    uses = "import polars as pl\n" if any("pl." in line for line in checks) else ""
    lines = "".join(f"    {line}\n" for line in checks)
    return f'''"""What becomes of the samples of {source.table}."""

{uses}import pytest
from lakehouse.scaffold.samples import find_samples
from lakehouse.scaffold.trial import try_samples

SAMPLES = {found}


@pytest.mark.skipif(not SAMPLES, reason="the samples are not on this machine")
def test_every_record_of_the_samples_is_a_row_or_rejected(tmp_path):
    # Where it joins or refers to another table, add the samples of that: {{…, "other": …}}
    outcome = try_samples({table}, {{{table}: SAMPLES}}, tmp_path)
    assert outcome.records == outcome.written + outcome.rejected
{lines}'''


def _list_checks(source: TableSource, outcome: TrialOutcome) -> list[str]:
    rows = outcome.rows
    lines = [
        f"assert outcome.refused == {outcome.refused}, outcome.reasons",
        f"assert outcome.rows.height == {rows.height}, outcome.reasons",
    ]
    if rows.is_empty():
        return lines
    nulls = {name: int(count) for name, count in rows.null_count().row(0, named=True).items()}
    lines.append(f"assert outcome.rows.null_count().row(0, named=True) == {_write_dict(nulls)}")
    personal = {one.name for one in source.columns if one.profile.personal}
    kinds = (pl.Date, pl.Datetime, pl.Int64, pl.Decimal)
    shown = [
        name
        for name, dtype in rows.schema.items()
        if name not in personal and dtype.base_type() in kinds and nulls[name] < rows.height
    ]
    if shown:
        least = rows.select(pl.col(shown).min().cast(pl.String)).row(0, named=True)
        lines.append(f"shown = {write_value(shown)}")
        lines.append("least = outcome.rows.select(pl.col(shown).min().cast(pl.String))")
        lines.append(f"assert least.row(0, named=True) == {_write_dict(least)}")
    return lines


def _write_dict(values: Mapping[str, object]) -> str:
    pairs = "".join(
        f"        {write_value(key)}: {write_value(held)},\n" for key, held in values.items()
    )
    return f"{{\n{pairs}    }}"
