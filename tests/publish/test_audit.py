"""The audit of a commit: its fates, the law of conservation, and its stored form."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.calendar import Days
from lakehouse.errors import LawError
from lakehouse.publish.audit import Audit, Provenance, sum_fates
from lakehouse.publish.changes import AffectedDays
from lakehouse.storage.revision import Revision

COUNTS = st.integers(0, 10**12)
DAYS = st.tuples(st.dates(), st.dates()).map(lambda ends: Days(min(ends), max(ends)))
NAMES = st.text(max_size=8)

REVISIONS = st.builds(Revision, st.integers(0, 99), st.uuids().map(str))
REACHES = st.builds(
    AffectedDays,
    by=st.lists(NAMES, max_size=2).map(tuple),
    days=st.lists(DAYS, max_size=2).map(tuple),
    revision=st.none() | REVISIONS,
)

AUDITS = st.builds(
    Audit,
    table=NAMES,
    mode=st.sampled_from(["append", "replace"]),
    read=COUNTS,
    written=COUNTS,
    quarantined=COUNTS,
    superseded=COUNTS,
    filtered=st.dictionaries(NAMES, COUNTS, max_size=2),
    dead_letters=COUNTS,
    days=st.none() | DAYS,
    materialized=st.lists(DAYS, max_size=2).map(tuple),
    untouched=st.lists(st.dates(), max_size=2).map(tuple),
    changed=st.dictionaries(NAMES, st.lists(DAYS, max_size=2).map(tuple), max_size=2),
    affected=st.dictionaries(NAMES, REACHES, max_size=2),
    rules=st.dictionaries(NAMES, COUNTS, max_size=2),
    rows=COUNTS,
    seconds=st.floats(0, 1e6),
    audited_at=st.datetimes(timezones=st.just(UTC)),
    notes=st.lists(NAMES, max_size=2).map(tuple),
    provenance=st.builds(
        Provenance,
        run_id=NAMES,
        inputs=st.dictionaries(NAMES, st.none() | REVISIONS),
        quarantine=st.none() | REVISIONS,
        batch_id=st.none() | NAMES,
    ),
    version=st.integers(0, 99),
)


@settings(max_examples=80, deadline=None)
@given(AUDITS)
def test_an_audit_comes_back_from_its_stored_form_as_it_was(audit):
    stored = json.loads(json.dumps(audit.to_metadata()))
    assert Audit.from_metadata(stored, audit.version) == audit


def test_figures_by_period_are_not_stored():
    audit = Audit("staged/t", "replace", 1, 1, by_period={date(2020, 1, 1): {"read": 1}})
    assert "by_period" not in audit.to_metadata()
    assert Audit.from_metadata(audit.to_metadata(), 3) == replace(audit, by_period={}, version=3)


def stored(**other: object) -> dict[str, object]:
    """The stored form of an audit, some of it replaced."""
    return Audit("staged/t", "replace", 1, 1).to_metadata() | other


def test_fields_that_are_unknown_here_are_ignored():
    found = Audit.from_metadata(
        stored(mood="good", provenance={"run_id": "r", "weather": "fine"}), 3
    )
    assert (found.read, found.provenance) == (1, Provenance("r"))


@pytest.mark.parametrize(
    "lost", ["days", "materialized", "untouched", "affected", "audited_at", "notes", "provenance"]
)
def test_fields_that_were_not_stored_have_their_defaults(lost):
    values = stored()
    del values[lost]
    assert Audit.from_metadata(values, 3).read == 1


MALFORMED = [
    {},
    {"read": 1},
    stored(read=None),
    stored(read="many"),
    stored(days=["2024-01-01"]),
    stored(days="soon"),
    stored(materialized=[["2024-01-01", "never"]]),
    stored(materialized={"a": 1}),
    stored(materialized=7),
    stored(changed=7),
    stored(changed={"a": "always"}),
    stored(affected=7),
    stored(affected={"marts/m": "everything"}),
    stored(affected={"marts/m": {"by": ["a"], "days": "always"}}),
    stored(filtered=["a"]),
    stored(rules={"a": None}),
    stored(audited_at="yesterday"),
    stored(provenance=None),
    stored(provenance={"inputs": {"raw/t": "latest"}}),
]


@pytest.mark.parametrize("values", MALFORMED)
def test_what_cannot_be_an_audit_is_refused(values):
    with pytest.raises(ValueError, match="validation error"):
        Audit.from_metadata(values, 3)


def test_an_audit_that_adds_up_is_balanced():
    audit = Audit(
        "staged/t",
        "replace",
        15,
        1,
        quarantined=2,
        superseded=3,
        filtered={"a": 2, "b": 3},
        dead_letters=4,
    )
    assert audit.check_balance() is audit


@pytest.mark.parametrize("fate", ["written", "quarantined", "superseded", "dead_letters"])
@pytest.mark.parametrize("by", [1, -1])
def test_a_row_without_a_fate_breaks_the_law(fate, by):
    audit = Audit("staged/t", "replace", 10, 4, quarantined=3, superseded=2, dead_letters=1)
    with pytest.raises(LawError, match=f"10 rows were read, but {10 + by} are accounted for"):
        replace(audit, **{fate: getattr(audit, fate) + by}).check_balance()


def test_a_broken_law_names_the_table_the_days_and_every_fate():
    day = date(2020, 1, 1)
    with pytest.raises(LawError) as refusal:
        Audit(
            "staged/t", "replace", 9, 1, filtered={"tests": 2}, days=Days(day, day)
        ).check_balance()
    assert str(refusal.value).splitlines()[:5] == [
        "staged/t [2020-01-01]: 9 rows were read, but 3 are accounted for. Nothing was published.",
        "  - written 1",
        "  - quarantined 0",
        "  - superseded 0",
        "  - filtered: tests 2",
    ]


def test_the_fates_of_several_commits_add_up():
    audits = [
        Audit("t", "replace", 3, 2, quarantined=1),
        Audit("t", "replace", 5, 3, filtered={"tests": 2}),
    ]
    assert sum_fates(audits) == {
        "read": 8,
        "written": 5,
        "quarantined": 1,
        "superseded": 0,
        "filtered: tests": 2,
    }


def test_the_fates_of_no_commit_are_nothing_read():
    assert sum_fates([]) == {"read": 0}


def test_an_audit_has_the_present_moment_by_default():
    assert abs(datetime.now(UTC) - Audit("t", "append", 0, 0).audited_at).total_seconds() < 5


def test_a_fate_below_zero_breaks_the_law():
    with pytest.raises(LawError, match="superseded -3"):
        Audit("staged/t", "replace", read=2, written=5, superseded=-3).check_balance()
