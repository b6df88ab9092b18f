"""The truth, compared with a count that reads the files back and does not know how they were made."""

import csv
import gzip
import io
import re
import zipfile
from collections import Counter, defaultdict
from datetime import date, datetime
from itertools import chain

import pytest
from support.sizes import first

from samples import generate

SERVICES = ("POST", "DOT", "M", "D", "S", "BANK CHARGES", "AMAZONFEE", "CRUK", "gift_0001_20", "B")
KINDS = {
    "repeated_lines",
    "repeated_broken_lines",
    "late_lines",
    "blank_lines",
    "customers_missing",
    "customers_as_float",
    "cancellations",
    "bad_debt_adjustments",
    "write_offs",
    "prices_zero",
    "extreme_quantities",
    "lower_case_codes",
    "country_unspecified",
    "descriptions_empty",
    "descriptions_with_outer_blanks",
    "descriptions_with_quotes",
    "descriptions_with_commas",
    "descriptions_not_ascii",
    "descriptions_from_question_mark",
    "codes_with_several_descriptions",
    "customers_with_several_countries",
    "invoices_with_several_times",
    *(f"service_{code.replace(' ', '_')}" for code in SERVICES),
}
REASONS = {
    "price_below_zero",
    "price_not_a_number",
    "quantity_zero",
    "quantity_not_a_number",
    "date_not_parseable",
}
RUNS = {
    "one line a day": {"days": 60, "rows": 1, "seed": 1},
    "small": {"days": 60, "rows": 30, "seed": 2},
    "large": {"days": 25, "rows": 3000, "seed": 3},
    "another season": {"days": 75, "rows": 150, "seed": 4, "start": date(2024, 2, 17)},
}


def parsed(kind, text):
    try:
        return kind(text)
    except ValueError:
        return None


def moment(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007


class Recount:
    """All counts of one file or of several."""

    def __init__(self):
        self.numbers, self.reasons, self.dead, self.dirt, self.days = (Counter() for _ in range(5))
        self.seen, self.several = set(), defaultdict(lambda: defaultdict(set))

    def add(self, name, content):
        _header, *lines, end = content.split(b"\n")
        assert end == b""
        for line in lines:
            self._add_line(name, line)

    def _add_line(self, name, line):
        if not line:
            self.dirt["blank_lines"] += 1
            return
        self.numbers["records"] += 1
        text = parsed(bytes.decode, line)
        fields = next(csv.reader([text], strict=True)) if text else []
        if len(fields) == 8:
            self._add_row(name, fields)
        else:
            self.numbers["dead"] += 1
            self.dead["ragged" if text else "invalid_utf8"] += 1

    def _add_row(self, name, fields):
        self.numbers["raw_rows"] += 1
        reasons = broken_rules(fields)
        assert len(reasons) <= 1
        self.dirt.update(kinds(fields, reasons))
        self._note_names(fields)
        at = parsed(moment, fields[4])
        self.dirt["late_lines"] += at is not None and str(at.date()) not in name
        if tuple(fields) in self.seen:
            self.numbers["superseded"] += 1
            self.dirt["repeated_lines"] += 1
            self.dirt["repeated_broken_lines"] += len(reasons)
        elif reasons:
            self.numbers["quarantined"] += 1
            self.reasons.update(reasons)
        else:
            self._add_written(fields, at)
        self.seen.add(tuple(fields))

    def _add_written(self, fields, at):
        self.numbers["written"] += 1
        self.numbers["anonymous"] += fields[6] == ""
        self.numbers["cancellations"] += fields[0].startswith("C")
        self.numbers["service_lines"] += not re.fullmatch(r"\d{5}[A-Z]{0,2}", fields[1].upper())
        self.days[str(at.date())] += 1

    def _note_names(self, fields):
        if fields[2]:
            self.several["codes_with_several_descriptions"][fields[1]].add(fields[2])
        if fields[6]:
            self.several["customers_with_several_countries"][fields[6]].add(fields[7])
        if at := parsed(moment, fields[4]):
            self.several["invoices_with_several_times"][fields[0], at.date()].add(at)

    def differences(self, counts):
        """What differs from the counts of the truth: by name, the recount and the truth."""
        several = {
            kind: sum(len(names) > 1 for names in sets.values())
            for kind, sets in self.several.items()
        }
        mine = {
            **{
                name: self.numbers[name]
                for name, count in vars(counts).items()
                if type(count) is int
            },
            "quarantined_by_reason": dict(self.reasons),
            "dead_by_reason": dict(self.dead),
            "dirt": dict(+(self.dirt + Counter(several))),
            "rows_by_day": dict(self.days),
        }
        return {
            name: (value, getattr(counts, name))
            for name, value in mine.items()
            if value != getattr(counts, name)
        }


def broken_rules(fields):
    quantity, price = parsed(int, fields[3]), parsed(float, fields[5])
    rules = {
        "quantity_not_a_number": quantity is None,
        "quantity_zero": quantity == 0,
        "price_not_a_number": price is None,
        "price_below_zero": price is not None and price < 0,
        "date_not_parseable": parsed(moment, fields[4]) is None,
    }
    return [reason for reason, is_broken in rules.items() if is_broken]


def kinds(fields, reasons):
    invoice, code, text, quantity, _, price, customer, country = fields
    sound = not reasons
    found = {
        "descriptions_empty": text == "",
        "descriptions_with_outer_blanks": text.strip() != text,
        "descriptions_with_quotes": '"' in text,
        "descriptions_with_commas": "," in text,
        "descriptions_not_ascii": any(ord(sign) > 127 for sign in text),
        "descriptions_from_question_mark": text[:1] == "?",
        "customers_missing": customer == "",
        "customers_as_float": customer.endswith(".0"),
        "cancellations": invoice[0] == "C",
        "bad_debt_adjustments": invoice[0] == "A",
        "country_unspecified": country == "Unspecified",
        "lower_case_codes": any(sign.islower() for sign in code),
        "prices_zero": sound and float(price) == 0,
        "write_offs": sound and int(quantity) < 0 and invoice[0] != "C",
        "extreme_quantities": sound and abs(int(quantity)) >= 1000,
        f"service_{code.replace(' ', '_')}": code in SERVICES,
    }
    return [kind for kind, is_so in found.items() if is_so]


def contents(folder):
    """The files of invoice lines, unpacked, by name; repeated ones left out."""
    distinct = {
        path.read_bytes(): path for path in sorted(folder.glob("invoice_lines/*"), reverse=True)
    }
    return {
        path.name: gzip.decompress(packed)
        for packed, path in sorted(distinct.items(), key=lambda pair: pair[1])
    }


def recount(files):
    counted = Recount()
    for name, content in files.items():
        counted.add(name, content)
    return counted


def test_the_truth_is_what_a_count_of_all_files_finds(made):
    assert recount(contents(made.folder)).differences(made.truth.invoice_lines) == {
        "files": (0, 52),
        "files_repeated": (0, 1),
    }


def test_the_truth_of_each_file_is_what_a_count_of_it_finds(made):
    files = contents(made.folder)
    original = {
        made.truth.invoice_lines.copies.get(name, name): {name: content}
        for name, content in files.items()
    }
    by_file = made.truth.invoice_lines.by_file
    assert original.keys() == by_file.keys()
    assert [
        name for name, file in original.items() if recount(file).differences(by_file[name])
    ] == []


@pytest.mark.parametrize("run", first(1, RUNS.values()), ids=RUNS)
def test_the_truth_holds_for_other_runs(tmp_path, run):
    truth = generate(tmp_path, **run).invoice_lines
    assert recount(contents(tmp_path)).differences(truth).keys() <= {"files", "files_repeated"}


def test_files_are_counted_with_those_that_repeat_another(made):
    truth = made.truth.invoice_lines
    folder = made.folder / "invoice_lines"
    assert truth.files == len(list(folder.iterdir())) == 52
    assert truth.files - truth.files_repeated == len(contents(made.folder)) == len(truth.by_file)
    assert truth.copies == {"sample-2010-12-05 (copy).csv.gz": "sample-2010-12-05.csv.gz"}


def test_every_record_is_accounted_for(made):
    truth = made.truth.invoice_lines
    assert truth.records == truth.dead + truth.raw_rows
    assert truth.raw_rows == truth.superseded + truth.quarantined + truth.written
    assert truth.written == sum(truth.rows_by_day.values())


@pytest.mark.parametrize("seed", [7, 8, 9, 10])
def test_every_kind_of_dirt_appears_in_sixty_days(tmp_path, seed):
    truth = generate(tmp_path, days=60, rows=400, seed=seed).invoice_lines
    assert KINDS - {"repeated_broken_lines"} <= truth.dirt.keys() <= KINDS
    assert truth.quarantined_by_reason.keys() == REASONS
    assert truth.dead_by_reason.keys() == {"ragged", "invalid_utf8"}


def test_a_repeated_broken_line_is_superseded_once_and_quarantined_once(made):
    truth = made.truth.invoice_lines
    rows = list(
        chain.from_iterable(
            csv.reader(io.StringIO(c.decode(errors="replace")))
            for c in contents(made.folder).values()
        )
    )
    broken = Counter(
        tuple(row) for row in rows if len(row) == 8 and row[0] != "InvoiceNo" and broken_rules(row)
    )
    assert max(broken.values()) == 2
    assert truth.dirt["repeated_broken_lines"] == broken.total() - len(broken)
    assert truth.quarantined == len(broken)


def test_rare_dirt_is_rare(made):
    truth = made.truth.invoice_lines
    assert 15 <= truth.quarantined <= 40
    assert 4 <= truth.dead <= 15


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("repeated_lines", 0.007, 0.013),  # 0.97 % of the real lines
        ("customers_missing", 0.20, 0.30),  # 25 %
        ("cancellations", 0.012, 0.022),  # 1.7 %
        ("descriptions_with_outer_blanks", 0.16, 0.26),  # 21 %
        ("descriptions_empty", 0.002, 0.004),  # 0.27 %
        ("write_offs", 0.0018, 0.0035),  # 0.25 %
        ("prices_zero", 0.0035, 0.006),  # 0.46 %
        ("lower_case_codes", 0.0025, 0.005),  # 0.36 %
    ],
)
def test_shares_are_near_the_real_ones(made, kind, least, most):
    assert least <= made.truth.invoice_lines.dirt[kind] / made.truth.invoice_lines.raw_rows <= most


def test_the_truth_of_the_rates_is_what_a_count_finds(made):
    with zipfile.ZipFile(made.folder / "fx_rates" / "sample-eurofxref-hist.zip") as archive:
        text = archive.read("eurofxref-hist.csv").decode()
    header, *days = ([*row[:-1]] for row in csv.reader(io.StringIO(text)))
    cells = [cell for day in days for cell in day[1:]]
    truth = made.truth.fx_rates
    assert (truth.days, truth.currencies) == (len(days), len(header) - 1)
    assert (truth.cells, truth.cells_missing) == (len(cells), cells.count("N/A"))
    assert truth.cells_missing == sum(truth.currencies_missing.values()) > 0
