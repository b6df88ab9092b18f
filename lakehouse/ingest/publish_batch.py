"""Publishing a batch: its dead letters, then its rows in one raw commit, then the register.

Killed between two of these steps, the next attempt continues: dead letters that are stored are not
stored again, and files that are landed but not registered are read once more.
"""

from dataclasses import replace

import polars as pl

from lakehouse.errors import REPORT_IT, DataError, LawError
from lakehouse.failpoints import failpoint
from lakehouse.ingest.batch import Batch
from lakehouse.ingest.delivery_register import register_deliveries
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import Append, TableInfo
from lakehouse.quarantine.dead_letters import COMMENTS, COUNTED_DEAD_LETTERS, DEAD_LETTERS
from lakehouse.redaction import redact
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import EVENT_DATE, RESCUED

_ORIGIN_COMMENTS = {
    "_source": "The delivered file and the hash of its bytes",
    "_offset": "The number of the record in the file, from 1",
    "_modified_at": "When the file was written",
    "_batch_id": "The batch in which the file was landed",
    "_ingested_at": "When the batch began",
    EVENT_DATE: "The day that the row belongs to, by its own values",
    RESCUED: "Delivered values that do not fit the columns: a JSON object of texts by name",
}


def publish_batch(lake: Lake, batch: Batch, run_id: str) -> Audit | None:
    """Publishes a batch and registers its files.

    Args:
        lake: where the tables are.
        batch: what the files bring.
        run_id: who asks; stored in the commits.

    Returns:
        The audit of the raw commit; None when there was nothing to commit.

    Raises:
        BusyError: another writer was faster; nothing was published.
        DataError: the expression for the day fails; nothing was published.
        LawError: a record is unaccounted for; nothing was published.
    """
    made_by = Provenance(run_id=run_id, batch_id=batch.stamp.id)
    # Lost letters come first and by themselves: an earlier raw commit has counted them, so they
    # must not enter the audit of this one.
    batch = _restore_letters(lake, batch, made_by)
    audit = None if batch.is_empty else _publish_rows(lake, batch, made_by)
    # A batch of known bytes is registered too. Otherwise each run would read the files again, and
    # the sensor would call them news for ever.
    register_deliveries(lake, batch.raw.name, batch.outcomes, batch.stamp.started_at, made_by)
    return audit


def _restore_letters(lake: Lake, batch: Batch, made_by: Provenance) -> Batch:
    """Publishes the dead letters that the lake has lost; an earlier raw commit has counted them."""
    if batch.lost_letters is None:
        return batch

    def account(found: PassResult) -> Audit:
        note = f"lost dead letters of {batch.raw.name}, stored again: {found.rows:,}"
        rows = found.rows
        return Audit(DEAD_LETTERS, "append", rows, rows, notes=(note,), provenance=made_by)

    audit = publish(lake, _request_letters(batch, batch.lost_letters), account)
    # The next commit to the dead letters is based on this one, or it would conflict with it.
    stored = batch.stored_letters
    if audit.version is not None:
        handle = lake.open_shared(DEAD_LETTERS, audit.version)
        stored = replace(stored, revision=None if handle is None else read_revision(handle))
    stored = replace(stored, count=stored.count + audit.rows)
    return replace(batch, stored_letters=stored)


def _publish_rows(lake: Lake, batch: Batch, made_by: Provenance) -> Audit:
    """Publishes the rows and the new dead letters of a batch."""
    raw = batch.raw

    def account(found: PassResult) -> Audit:
        # `dead_count` is what the readers counted, `rejected` what is in the files.
        if found.rejected != batch.dead_count:
            raise LawError(
                f"{raw.name}: {batch.dead_count:,} dead letters were found, but "
                f"{found.rejected:,} were written.\n{REPORT_IT}"
            )
        return Audit(
            table=raw.name,
            mode="append",
            read=batch.records,
            written=found.rows,
            dead_letters=batch.dead,
            notes=batch.notes,
            assumed=batch.assumed,
            provenance=made_by,
        )

    letters = _request_letters(batch, batch.dead_letters)
    try:
        audit = publish(lake, _request_rows(batch), account, rejects=letters)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{raw.name}: `day` fails on the data: {redact(error)}\n"
            "Next: make it return null where the day is unknown (strict=False). "
            "Nothing was published."
        ) from None  # the error itself quotes values
    # A kill here leaves files that are landed and not registered: they are read once more, and
    # their bytes are known.
    failpoint("land: published")
    return audit


def _request_rows(batch: Batch) -> Append:
    info = TableInfo(
        description=batch.raw.description, comments=_ORIGIN_COMMENTS, hidden=batch.private
    )
    return Append(
        batch.raw.name,
        batch.rows,
        info=info,
        split_by=batch.file_of_row,
        base=batch.base,
        # The letters that are counted once this commit is made. What a killed attempt leaves beyond
        # this number is counted by the next commit, whichever files that one brings.
        transaction_ids={COUNTED_DEAD_LETTERS: batch.stored_letters.count + batch.dead_count},
        corrections=batch.corrections,
        retyped=batch.retyped,
    )


def _request_letters(batch: Batch, letters: pl.LazyFrame) -> Append:
    info = TableInfo(
        description="Records that could not be parsed, byte for byte.",
        comments=COMMENTS,
        # These hold delivered text, which no bound in the log may quote.
        hidden=frozenset({"payload", "reason", "place"}),
    )
    return Append(DEAD_LETTERS, letters, base=batch.stored_letters.revision, info=info)
