"""Which raw tables are listed because of messages, and which messages have served."""

import json

import pytest
from support.worlds import catalog_of

from assets.retail import raw
from lakehouse.ingest.landing_messages import Received, choose_tables, sort_messages
from lakehouse.storage.message_queue import QueuedMessage

TABLES = catalog_of(rates=raw.fx_rates, lines=raw.invoice_lines).raw_tables
RATES, LINES = "raw/fx_rates", "raw/invoice_lines"
ABOUT_RATES = QueuedMessage("1", "…")
SILENT = Received({}, problem="The queue does not answer.")


@pytest.mark.parametrize(
    ("received", "is_due", "retried", "listed"),
    [
        (None, False, (), [RATES, LINES]),
        (SILENT, False, (), [RATES, LINES]),
        (Received({}), True, (), [RATES, LINES]),
        (Received({}), False, (), []),
        (Received({ABOUT_RATES: frozenset({RATES})}), False, (), [RATES]),
        (Received({ABOUT_RATES: frozenset({RATES})}), False, (LINES, "raw/gone"), [RATES, LINES]),
        (Received({}, foreign=3), False, (), []),
    ],
    ids=["no queue", "silent", "due", "no message", "message", "failed run", "foreign"],
)
def test_what_is_listed_follows_from_the_messages_and_the_time(received, is_due, retried, listed):
    chosen = choose_tables(TABLES, received, is_due=is_due, retried=retried)
    assert sorted(table.name for table in chosen) == listed


def test_messages_about_a_table_whose_run_is_requested_are_kept():
    both = QueuedMessage("2", "…")
    received = Received({ABOUT_RATES: frozenset({RATES}), both: frozenset({RATES, LINES})})
    assert received.select_done([LINES]) == [ABOUT_RATES]
    assert received.select_done([]) == [ABOUT_RATES, both]


def tell(*keys: str) -> QueuedMessage:
    records = [{"s3": {"bucket": {"name": "b"}, "object": {"key": key}}} for key in keys]
    return QueuedMessage(str(keys), json.dumps({"Records": records}))


@pytest.mark.parametrize(
    ("root", "key"),
    [
        ("s3://b", "fx_rates/2024/a.csv"),
        ("s3://b/", "fx_rates/a.csv"),
        ("s3a://b/deep/landing/", "deep%2Flanding%2Ffx_rates%2Fa.csv"),
        ("s3://b/landing", "landing/fx_rates/%E2%82%AC+%2B%25.csv"),
    ],
)
def test_a_key_names_its_table_wherever_landing_is(root, key):
    assert sort_messages([tell(key)], root, TABLES).named == {RATES}


@pytest.mark.parametrize("key", ["fx_rates", "fx_rates_2024/a.csv", "x/fx_rates/a.csv", "", "/"])
def test_a_key_beside_the_folders_of_raw_tables_names_none(key):
    received = sort_messages([tell(key)], "s3://b", TABLES)
    assert (received.named, received.foreign, len(received.about)) == (frozenset(), 0, 1)


def test_one_message_may_tell_of_several_tables():
    [message] = [tell("fx_rates/a.csv", "invoice_lines/b.csv")]
    assert sort_messages([message], "s3://b", TABLES).about == {message: {RATES, LINES}}
