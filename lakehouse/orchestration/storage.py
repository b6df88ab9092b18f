"""Optional: Dagster's storage in SQLite files, with the events of a range run written in batches.

Dagster passes on the events of a run with many partitions in batches, but its SQLite event log
writes each event alone: a connection, two transactions and half a dozen statements, some 20 ms a
partition. Here a batch is one transaction for each file. A check that is planned for many
partitions is serialized once, and Alembic's migrations are not imported for a file that is already
set up. Nothing else differs, and the files are the same.

It is built of private modules of Dagster, so it is off by default. `dagster.yaml` has the switch,
and `docs/decisions/0005-batched-event-storage.md` the gain. On Postgres, Dagster's own storage
already writes batches.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from alembic.migration import MigrationContext
from dagster import AssetKey, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData, serialize_value
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DatabaseError


class BatchedEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log, with a batch of asset events stored in one transaction."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events in order; neighbouring asset events of one run are stored together."""
        for (run_id, is_asset_event), neighbours in groupby(events, _kind):
            if is_asset_event:
                self._store_together(run_id, list(neighbours))
            else:
                super().store_event_batch(list(neighbours))

    def _store_together(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        numbered = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        with self.index_transaction() as connection:
            numbers = [int(number) for (number,) in connection.execute(numbered, rows)]
            self._store_asset_event_tags(connection, events, numbers)
            # The row of an asset shows its latest event, so the earlier ones need not be written.
            latest = {
                _row_of(event): (event, number)
                for event, number in zip(events, numbers, strict=True)
            }
            for event, number in latest.values():
                self._store_asset_event(connection, event, number)
        # The run's own file comes second. If the index refuses a batch, Dagster stores its events
        # one by one, and that file must not hold them by then.
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:  # noqa: FBT001, FBT002 - as Dagster's
        """Sets up a file, unless it carries a revision."""
        # To find that out by itself, Alembic would import all of its migrations.
        if not _is_stamped(engine):
            super()._initdb(engine, for_index_shard)

    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        """Stores a row for each planned partition of a check."""
        # All of them share one event, which Dagster's own method serializes for each row: 365 times
        # in a backfill of a year.
        planned = cast("AssetCheckEvaluationPlanned", event.get_dagster_event().event_specific_data)
        subset = planned.partitions_subset
        common = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": datetime.fromtimestamp(event.timestamp, UTC).replace(
                tzinfo=None
            ),
            "evaluation_event_storage_id": event_id,
        }
        partitions = subset.get_partition_keys() if subset else [None]
        with self.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.insert(),
                [{**common, "partition": key} for key in partitions],
            )


def _is_stamped(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() is not None
    except DatabaseError:
        return False  # such as a locked file; Dagster's own set-up tries again


def _row_of(event: EventLogEntry) -> tuple[AssetKey | None, str]:
    """Returns the row of the index that an event updates, by the asset and the kind of event."""
    told = event.get_dagster_event()
    return told.asset_key, told.event_type_value


def _kind(event: EventLogEntry) -> tuple[str, bool]:
    """Returns the run of an event, and whether Dagster's index of assets keeps such events."""
    return event.run_id, event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


class LakehouseStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with a `BatchedEventLog`.

    It takes the place of `storage: sqlite` in `dagster.yaml`.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = BatchedEventLog(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "LakehouseStorage":
        """Returns the storage for the settings in `dagster.yaml`: `base_dir`, its folder."""
        return cls.from_local(inst_data=inst_data, **config_value)
