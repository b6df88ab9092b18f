"""Parquet, rule by rule: types stay, except those that Delta Lake lacks or that leave an instant ambiguous."""

import base64
import io
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.files.typed.parquet_values import refuse_unheld_values
from lakehouse.ingest.limits import IngestLimits

NAME = "a.parquet"
AT = datetime(2024, 1, 31, 23, 59, 59)  # noqa: DTZ001


def parquet(**columns) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


def typed(values, dtype) -> pl.Series:
    return pl.Series(values, dtype=dtype)


def dtype_of(seen, column):
    return pl.read_parquet_schema(next(seen.delivery.rows.iterdir()))[column]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None], pl.Int32()),
        ([1.5, None], pl.Float64()),
        ([True, None], pl.Boolean()),
        (["x", ""], pl.String()),
        ([b"\xff", None], pl.Binary()),
        ([date(2024, 1, 31)], pl.Date()),
        ([Decimal("1.50")], pl.Decimal(10, 2)),
        ([datetime(2024, 1, 31, tzinfo=UTC)], pl.Datetime("us", "UTC")),
        ([[1, None], []], pl.List(pl.Int64())),
        ([{"x": 1, "y": "z"}], pl.Struct({"x": pl.Int64(), "y": pl.String()})),
    ],
)
def test_what_delta_can_hold_stays_as_it_is(read, values, dtype):
    seen = read(parquet(a=typed(values, dtype)), NAME)
    assert (seen.values("a"), dtype_of(seen, "a")) == (values, dtype)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([AT, None], pl.Datetime("ns"), ["2024-01-31 23:59:59", None]),
        ([AT + timedelta(microseconds=500_000)], pl.Datetime("us"), ["2024-01-31 23:59:59.500"]),
        ([timedelta(minutes=90)], pl.Duration("us"), ["PT1H30M"]),
        ([time(8, 30)], pl.Time(), ["08:30:00"]),
        (["x", None], pl.Categorical(), ["x", None]),
        (["x"], pl.Enum(["x", "y"]), ["x"]),
        (
            [{"x": AT}, None],
            pl.Struct({"x": pl.Datetime("us")}),
            ['{"x":"2024-01-31 23:59:59"}', None],
        ),
        ([[AT], []], pl.List(pl.Datetime("us")), ['["2024-01-31 23:59:59"]', "[]"]),
        ([{"x": 1, "X": 2}], pl.Struct({"x": pl.Int64(), "X": pl.Int64()}), ['{"x":1,"X":2}']),
    ],
)
def test_what_is_in_doubt_becomes_text(read, values, dtype, expected):
    seen = read(parquet(a=typed(values, dtype)), NAME)
    assert (seen.values("a"), dtype_of(seen, "a")) == (expected, pl.String())


@pytest.mark.parametrize(
    ("dtype", "wider"),
    [
        (pl.UInt8(), pl.Int16()),
        (pl.UInt32(), pl.Int64()),
        (pl.UInt64(), pl.Decimal(20, 0)),
        (pl.Float16(), pl.Float32()),
    ],
)
def test_types_unknown_to_delta_become_the_next_larger(read, dtype, wider):
    seen = read(parquet(a=typed([7], dtype)), NAME)
    assert (seen.values("a"), dtype_of(seen, "a")) == ([7], wider)


def test_arrays_become_lists(read):
    seen = read(parquet(a=typed([[1, 2]], pl.Array(pl.Int64, 2))), NAME)
    assert (seen.values("a"), dtype_of(seen, "a")) == ([[1, 2]], pl.List(pl.Int64()))


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_instants_become_microseconds_utc(read, unit):
    at = typed([AT], pl.Datetime(unit)).dt.replace_time_zone("Europe/Berlin")
    seen = read(parquet(a=at), NAME)
    assert dtype_of(seen, "a") == pl.Datetime("us", "UTC")
    assert seen.values("a") == [datetime(2024, 1, 31, 22, 59, 59, tzinfo=UTC)]


def test_instants_that_need_nanoseconds_become_text(read):
    at = typed([1, None], pl.Int64()).cast(pl.Datetime("ns", "UTC"))
    assert read(parquet(a=at), NAME).values("a") == ["1970-01-01T00:00:00.000000001+00:00", None]


def test_rows_are_numbered_in_their_order(read):
    seen = read(parquet(a=list(range(1000))), NAME)
    assert seen.offsets == list(range(1, 1001))
    assert seen.values("a") == list(range(1000))


def test_required_columns_take_the_required_spelling(read):
    assert read(parquet(TRIP=[1]), NAME, required=["trip"]).delivery.columns == ("trip",)


def test_a_file_without_a_required_column_is_refused(read):
    refused = read(parquet(b=[1]), NAME, required=["a"]).delivery.refused
    assert refused == "columns missing: a; the file has: b"


def test_a_file_without_rows_holds_no_record(read):
    delivery = read(parquet(a=[]), NAME).delivery
    assert (delivery.refused, delivery.records) == (None, 0)
    assert delivery.empty_because == "no rows: a Parquet file with 1 columns"


def test_a_file_that_claims_more_rows_than_the_limit_is_refused(read):
    seen = read(parquet(a=[None] * 1000), NAME, limits=IngestLimits(rows=999))
    assert seen.delivery.refused == "1,000 rows; limit 999 (rows)"


def test_a_file_that_claims_too_many_values_for_its_size_is_refused_unread(read):
    content = parquet(a=[None] * 3_000_000)
    limits = IngestLimits(ratio_from=1 << 20)
    assert (
        "claim 3,000,000 values in 3,000,000 rows"
        in read(content, NAME, limits=limits).delivery.refused
    )
    assert read(parquet(a=[None] * 1000), NAME, limits=limits).delivery.rows_count == 1000


def test_types_nested_deeper_than_the_limit_are_refused(read):
    content = parquet(a=[[[[1]]]], b=[[{"c": 1}]])
    assert read(content, NAME, limits=IngestLimits(nesting=3)).delivery.rows_count == 1
    refused = read(content, NAME, limits=IngestLimits(nesting=2)).delivery.refused
    assert refused == "nested 7 groups deep; limit 2 (nesting)"
    flat = parquet(a=[{"b": {"c": {"d": 1}}}])
    refused = read(flat, NAME, limits=IngestLimits(nesting=2)).delivery.refused
    assert refused == "nested more than 2 deep (nesting): a"


@pytest.mark.parametrize(
    ("cut", "reason"),
    [(-1, "cut off"), (100, "cut off"), (4, "cut off"), (3, "not a Parquet file")],
)
def test_a_cut_off_file_is_refused(read, cut, reason):
    assert reason in read(parquet(a=list(range(1000)))[:cut], NAME).delivery.refused


def test_a_csv_that_claims_to_be_parquet_is_refused(read):
    assert "not a Parquet file" in read(b"a,b\n1,2\n", NAME).delivery.refused


@pytest.mark.parametrize("middle", [b"", b"\0" * 40, b"\xff" * 40])
def test_damage_inside_is_refused(read, middle):
    assert "damaged" in read(b"PAR1" + middle + b"\x08\0\0\0PAR1", NAME).delivery.refused


ODD = {
    "a day": (pl.Int32, pl.Date(), [0, 2**31 - 1, 2_932_897]),
    "a day before all years": (pl.Int32, pl.Date(), [0, -719_163]),
    "an instant": (pl.Int64, pl.Datetime("us", "UTC"), [0, 2**63 - 1]),
    "an instant in milliseconds": (pl.Int64, pl.Datetime("ms", "UTC"), [0, -(2**63)]),
    "a local time": (pl.Int64, pl.Datetime("us"), [0, 2**63 - 1]),
}


@pytest.mark.parametrize("odd", ODD)
def test_times_that_no_table_holds_refuse_the_file_and_name_the_record(read, odd):
    number, dtype, values = ODD[odd]
    column = typed(values, number).cast(dtype)
    seen = read(parquet(a=typed(["x"] * len(values), pl.String()), t=column), NAME)
    assert not seen.rows
    (reason,) = seen.reasons
    assert reason.startswith(
        "t has times outside the years 1 to 9999, the first in record 2; write"
    )


@pytest.mark.parametrize("nest", [lambda c: pl.struct(v=c), pl.concat_list])
def test_times_within_nested_values_count_too(read, nest):
    day = typed([0, 2**31 - 1], pl.Int32).cast(pl.Date())
    frame = pl.DataFrame({"t": day}).select(t=nest(pl.col("t")))
    (reason,) = read(parquet(t=frame["t"]), NAME).reasons
    assert "the first in record 2" in reason


def test_the_last_moment_of_the_year_9999_is_held(read):
    last = datetime.max.replace(tzinfo=UTC)
    seen = read(
        parquet(t=typed([last, datetime.min.replace(tzinfo=UTC)], pl.Datetime("us", "UTC"))), NAME
    )
    assert seen.values("t") == [last, datetime.min.replace(tzinfo=UTC)]


def test_a_local_time_of_a_long_year_is_text(read):
    number = (date.max - date(1970, 1, 1)).days * 86_400_000_000 + 86_400_000_000
    seen = read(parquet(t=typed([number], pl.Int64).cast(pl.Datetime("us"))), NAME)
    assert seen.values("t") == ["+10000-01-01 00:00:00"]


@pytest.mark.parametrize(
    "nest", [lambda t: t, pl.List, lambda t: pl.Struct({"v": pl.List(t)}), lambda t: pl.Array(t, 2)]
)
def test_a_decimal_of_too_many_digits_refuses_the_file_with_a_remedy(nest):
    schema = {"id": pl.String(), "fits": pl.Decimal(38, 2), "amt": nest(pl.Decimal(60, 2))}
    with pytest.raises(
        RefusedError, match=r"amt is a decimal of 60 digits, .* 38 at most; write it as text"
    ) as said:
        refuse_unheld_values(pl.LazyFrame(), schema)
    assert "fits" not in str(said.value)


def zoned(zone: str, *, unit: str = "us", **others) -> bytes:
    """A Parquet file with an instant of 1970 in a zone of six letters, alone and in a struct."""
    at = pl.Series([0, None]).cast(pl.Datetime(unit, "Israel"))
    content = parquet(at=at, held=pl.DataFrame({"t": at}).to_struct(), **others)
    # Polars writes no zone that it does not know, so the Arrow schema in the footer is rewritten.
    start = content.rindex(b"ARROW:schema") + len(b"ARROW:schema\x18") + 2
    end = content.index(b"\x00", start)
    text = content[start:end]
    padded = text[: len(text) - len(text) % 4]
    odd = base64.b64encode(base64.b64decode(padded).replace(b"Israel", zone.encode()))
    return content.replace(padded, odd)


@pytest.mark.parametrize("zone", ["+05:30", "-03:30", "GMT+05"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_an_instant_with_a_fixed_offset_lands_in_utc(read, capfd, zone, unit):
    seen = read(zoned(zone, unit=unit, n=typed([1, 2], pl.Int8())), NAME)
    assert seen.values("at") == [datetime(1970, 1, 1, tzinfo=UTC), None]
    assert dtype_of(seen, "n") == pl.Int8()
    assert capfd.readouterr().err == ""
    assert not [path for path in seen.delivery.rows.parent.iterdir() if path.name == "zoned"]


def test_a_zone_that_nobody_knows_refuses_its_file_by_name(read, capfd):
    seen = read(zoned("US/Foo"), NAME)
    assert seen.delivery.refused == (
        "time zones that are unknown here: at has 'US/Foo'; held.t has 'US/Foo'; "
        "write these columns in UTC, or with a zone of the IANA database"
    )
    assert capfd.readouterr().err == ""


def test_a_broken_arrow_schema_ends_nothing(read):
    chance, content = random.Random(1), zoned("+05:30")
    begin = content.rindex(b"ARROW:schema")
    for _ in range(60):
        broken = bytearray(content)
        broken[chance.randrange(begin, begin + 400)] = chance.choice(b"AZaz09+/=")
        read(bytes(broken), NAME)


def test_a_number_of_rows_that_was_damaged_loses_no_row(read):
    content = parquet(a=list(range(200)))
    number = b"\x90\x03"  # 200 rows
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    assert content.count(number, start) > 1
    place = content.index(number, start)
    while place >= 0:
        damaged = content[:place] + b"\x90\x01" + content[place + 2 :]  # 72 rows
        seen = read(damaged, NAME)
        assert seen.delivery.refused or len(seen.rows) == 200
        place = content.find(number, place + 1)


def test_a_column_without_a_type_holds_nulls_of_any_type(read):
    seen = read(parquet(a=typed([None], pl.Null()), b=[1]), NAME)
    assert (seen.values("a"), dtype_of(seen, "a")) == ([None], pl.Null())
