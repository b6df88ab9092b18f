"""Audits and contracts as Dagster's metadata and check results."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from lakehouse.ingest.land import LandResult
from lakehouse.observe.row_counts import RowCounts
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.quarantine.dead_letters import DeadLetters, count_open_letters
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import VALID
from lakehouse.tables import contract as contracts
from lakehouse.tables.table_types import DerivedTable, RawTable, Table
from lakehouse.wording import escape_control_characters, escape_lines, format_count

CONTRACT_CHECK = "rows_keep_the_contract"
READABLE_CHECK = "every_record_is_readable"


_VALID = {
    "valid_from": "When this version becomes valid",
    "valid_to": "When it stops being valid; null for the current version",
    "is_current": "Whether it is valid now",
}


def build_column_schema(table: Table) -> dg.TableSchema:
    """Builds the columns of a table for Dagster's catalogue, with meaning and personal data."""
    if isinstance(table, RawTable):
        return dg.TableSchema(
            [dg.TableColumn(name, str(dtype)) for name, dtype in table.schema.items()]
        )
    return dg.TableSchema(
        [
            # No unit of its own in Dagster: `meaning` has it.
            dg.TableColumn(
                column.name,
                str(column.dtype),
                description=column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
                tags={"pii": ""} if column.pii else None,
            )
            for column in contracts.list_columns(table.contract)
        ]
        + [
            dg.TableColumn(name, str(table.schema[name]), description=_VALID[name])
            for name in VALID
            if name in table.schema
        ]
    )


def describe_table(table: Table, lake: Lake) -> dict[str, Any]:
    """Returns what is true of a table before it is made: columns, place and name."""
    return {
        "dagster/column_schema": build_column_schema(table),
        "dagster/uri": lake.uri(table.name),
        "dagster/table_name": table.name,
    }


def describe_audit(audit: Audit) -> dict[str, Any]:
    """Returns an audit as metadata, each count under its own name so that Dagster plots it."""
    counts = {
        "read": audit.read,
        **{
            # `filtered: some rule` becomes `filtered_some_rule`.
            name.replace(": ", "_").replace(" ", "_"): count
            for name, count in audit.count_fates().items()
        },
        "carried": audit.carried,
        "files": audit.files,
        "bytes": audit.bytes,
    }
    # Only raw tables have no inputs: files are not versions of anything.
    inputs = [
        f"{name} at version {revision.version}" if revision else f"{name}, which does not exist yet"
        for name, revision in audit.provenance.inputs.items()
    ]
    return {
        **counts,
        "seconds": audit.seconds,
        "delta_version": audit.version,
        "days": str(audit.days) if audit.days else "all",
        "inputs": ", ".join(inputs) or "landed files",
        **_describe_versions(audit.provenance),
        **({"notes": list_as_text(audit.notes)} if audit.notes else {}),
        **(
            {"held_back": list_as_text(f"{day}: {why}" for day, why in audit.held_back.items())}
            if audit.held_back
            else {}
        ),
        **({"unchanged": audit.describe_unchanged()} if audit.has_unchanged else {}),
        **({"untouched": ", ".join(map(str, audit.untouched))} if audit.untouched else {}),
    }


def _describe_versions(made_by: Provenance) -> dict[str, str]:
    """Returns the versions of code and contract; a raw table has neither."""
    versions = {"code_version": made_by.code_version, "contract_version": made_by.contract_version}
    return {name: version for name, version in versions.items() if version}


def describe_period(fates: Mapping[str, int]) -> dict[str, Any]:
    """Returns what became of the rows of one partition, beside the counts of the whole range."""
    # With a prefix: Dagster puts them into the event that has the counts of the whole range.
    return {
        f"partition_{name.replace(': ', '_').replace(' ', '_')}": count
        for name, count in fates.items()
    }


def describe_rows(counts: RowCounts | None, period: date | None = None) -> dict[str, Any]:
    """Returns the rows of a table, and of one of its partitions, under Dagster's own names.

    Nothing where they could not be counted.
    """
    if counts is None:
        return {}
    rows = {"dagster/row_count": counts.rows}
    if period is not None:
        rows["dagster/partition_row_count"] = counts.by_period[period]
    return rows


def name_data_version(lake: Lake, table: RawTable) -> str:
    """Returns the data version of a raw table: a run that lands nothing changes none.

    By its own rule Dagster would give each run another one, and call every reader out of date.
    """
    return str(lake.revision(table.name) or "none")


def list_as_text(lines: Iterable[str]) -> dg.TextMetadataValue:
    """Returns lines as plain text, which the UI shows as it is."""
    # Not as Markdown: a name from a delivered file may be a link, or an image that is loaded.
    return dg.MetadataValue.text("\n".join(str(escape_control_characters(line)) for line in lines))


def quote_as_code(text: str) -> str:
    """Returns a text as a code block: the UI takes the description of a check for Markdown."""
    # The fence is longer than any in the text, which could end the block.
    ticks = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, ticks + 1)
    return f"{fence}\n{escape_lines(text)}\n{fence}"


def tabulate_rules(audit: Audit) -> dg.TableMetadataValue:
    """Returns a table of rows by broken rule, zeros included."""
    # A zero says that the rule was applied; a missing line would leave that open.
    schema = dg.TableSchema([dg.TableColumn("rule"), dg.TableColumn("rows", "int")])
    return dg.MetadataValue.table(
        [dg.TableRecord({"rule": r, "rows": n}) for r, n in audit.rules.items()], schema=schema
    )


def build_contract_result(
    table: DerivedTable, audit: Audit | None, refusal: str | None = None
) -> dg.AssetCheckResult:
    """Builds the verdict on a commit: rows by rule, and the quarantined and the allowed share.

    Args:
        table: the table.
        audit: the audit of the commit; None if there was nothing to make.
        refusal: why the commit, or some of its periods, were refused; None if nothing was.
    """
    allowed = table.properties.max_quarantined
    facts: Mapping[str, Any] = {}
    if audit is not None:
        facts = {
            "rules": tabulate_rules(audit),
            "quarantined": audit.quarantined,
            "share_quarantined": audit.quarantined / audit.read if audit.read else 0.0,
            "share_allowed": allowed,
        }
    return dg.AssetCheckResult(
        check_name=CONTRACT_CHECK,
        asset_key=dg.AssetKey(table.name.split("/")),
        passed=refusal is None,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=facts,
        description=quote_as_code(refusal)
        if refusal
        else "Every published row meets the contract.",
    )


def build_readable_result(
    lake: Lake, table: RawTable, report: LandResult | None = None
) -> dg.AssetCheckResult:
    """Builds the verdict on a raw table: whether any dead letter is open, and the refused files.

    Args:
        lake: where the table is.
        table: the table.
        report: what a landing did, if there was one.
    """
    # All that are open, whoever landed them: the next clean file settles none of the others.
    dead = count_open_letters(lake).get(table.name, 0)
    refused = [f"{name}: {reason}" for name, reason in DeadLetters(lake, table.name).list_refused()]
    new = {"new_dead_letters": sum(audit.dead_letters for audit in report.audits)} if report else {}
    return dg.AssetCheckResult(
        check_name=READABLE_CHECK,
        asset_key=dg.AssetKey(table.name.split("/")),
        passed=not dead,
        # A warning: the records that could be parsed have landed, and readers may go on.
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "dead_letters": dead,
            **new,
            "refused_files": list_as_text(refused or ("none",)),
        },
        description=f"{format_count(dead, 'open dead letter')} in quarantine.dead_letters, "
        f"among them {format_count(len(refused), 'file')} that could not be read.",
    )


def to_evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """Returns a check result as an event that an op may yield outside of the asset's own run."""
    # Within the asset's own step Dagster would fill both in; the results of this module name them.
    assert result.asset_key is not None  # noqa: S101
    assert result.check_name is not None  # noqa: S101
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )
