"""What reaches a terminal: numbers whole, and nothing that a terminal would obey."""

import ast
import io
import json
import os
import pty
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.worlds import bring_up_to_date, catalog_of, world, write

from lakehouse.cli import commands, output
from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.tables import raw
from lakehouse.wording import escape_lines

ROOT = Path(__file__).resolve().parents[2]
EVIL = "a\x1b[2Jb\x1b]0;title\x07c\u202ed\x9be\u2066f\rg\x08h"
"""Clears the screen, sets its title, turns the reading direction, goes back over what was printed."""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.000123, "0.000123"),
        (0.8567, "0.8567"),
        (2024, "2024"),
        (1234567, "1234567"),
        (1e-9, "1e-09"),
        (-0.0, "-0.0"),
        (Decimal("0.0000000001"), "0.0000000001"),
        (Decimal("1E+3"), "1000"),
        (
            {"on": date(2024, 1, 1), "price": Decimal("1.50"), "of": None},
            '{"on": "2024-01-01", "price": 1.5, "of": null}',
        ),
        ([{"on": date(2024, 1, 1)}], '[{"on": "2024-01-01"}]'),
        ([date(2024, 1, 1), None], "2024-01-01; None"),
        (1e300, "1e+300"),
        (True, "true"),
        (None, ""),
        (EVIL, r"a\x1b[2Jb\x1b]0;title\x07c\u202ed\x9be\u2066f\rg\x08h"),
        ([EVIL[:6]], r"a\x1b[2Jb"[:9]),
        ({"x": "\x1b"}, r'{"x": "\u001b"}'),
        ("Ünïcode 漢字 🙂", "Ünïcode 漢字 🙂"),
    ],
)
def test_a_value_is_shown_whole_in_one_line_that_can_be_seen(value, shown):
    assert output.format_value(value) == shown


def test_our_own_counts_are_grouped():
    shown = [output.format_value(n, group_digits=True) for n in (31415, 0.2512, "2024")]
    assert shown == ["31,415", "0.25", "2024"]


def test_json_holds_every_character_and_shows_no_invisible_one(capsys):
    output.print_rows([EVIL], [[EVIL]], "json")
    text = capsys.readouterr().out
    assert json.loads(text) == [{EVIL: EVIL}]
    assert all(line.isprintable() for line in text.splitlines())


def test_csv_in_a_file_holds_every_character(monkeypatch):
    monkeypatch.setattr(sys, "stdout", file := io.StringIO())
    output.print_rows(["x"], [[EVIL[:8]]], "csv")
    assert file.getvalue() == f"x\n{EVIL[:8]}\n"


@pytest.mark.parametrize("form", output.OUTPUT_FORMATS)
def test_a_terminal_gets_nothing_that_it_would_obey(form):
    script = f"from lakehouse.cli.output import print_rows; print_rows([{EVIL!r}], [[{EVIL!r}]], {form!r})"
    ours, theirs = pty.openpty()
    known = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "400"}
    subprocess.run([sys.executable, "-c", script], stdout=theirs, env=known, check=True)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "title" in text
    assert [line for line in text.replace("\r\n", "\n").split("\n") if not line.isprintable()] == []


def test_lines_of_a_message_stay_lines():
    assert escape_lines("one\x1b[0m\ntwo") == "one\\x1b[0m\ntwo"


def test_only_one_module_of_the_command_line_prints():
    printing = {"echo", "secho", "print", "write"}
    found = {
        path.name: node.lineno
        for path in (ROOT / "lakehouse" / "cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in printing
    }
    assert found.keys() == {"output.py", "app.py"}  # app.py: errors, escaped by a test below


NAME = "evil\x1b[2J\u202e.csv"
COLUMN = "col\x1b]0;x\x07umn"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A lake whose files have names, columns and values that a terminal would obey."""
    visits = raw("visits", "Visits.", columns=("id", "at"))
    here = world(tmp_path_factory.mktemp("attacked"), catalog_of(visits=visits))
    write(here, "visits", NAME, f"id,at,{COLUMN}\n1,\x1b[31mred,2\n3\x1b[5m\n")
    write(here, "visits", f"b{NAME}", b"\xff\xfe\x00")
    write(here, "un\x1b[2Jclaimed", "x.csv", "a\n1\n")
    bring_up_to_date(here)
    write(here, "visits", f"c{NAME}", "id,at\n1,2\n")
    return here


COMMANDS = [
    ["tables"],
    ["audit", "raw/visits"],
    ["audit", "raw/visits", "--format", "json"],
    ["quarantine", "raw/visits"],
    ["quarantine", "raw/visits", "--format", "json"],
    ["sql", "FROM raw.visits"],
    ["sql", "FROM quarantine.dead_letters"],
    ["sql", "FROM raw.visits", "--format", "json"],
    ["sql", "SELECT chr(27) || '[2J' AS \"\x1b[2J\""],
    ["sql", "SELECT error(chr(27) || '[2J')"],
    ["sql", 'SELECT * FROM "\x1b[2J"'],
    ["discard", "raw/visits", "--rule", "no\x1b[2Jrule", "--reason", "x", "--by", "ann"],
    ["replay", "raw/visits"],
]


@pytest.mark.parametrize(
    "command", COMMANDS, ids=lambda command: " ".join(command).encode("unicode_escape").decode()
)
def test_no_command_hands_over_control_sequences(attacked, command):
    app = commands.App(lambda: attacked, lambda: None, None)
    result = CliRunner().invoke(commands.cli, command, obj=app)
    assert "Traceback" not in result.output
    hidden = [line for line in result.output.split("\n") if not line.isprintable()]
    assert (result.output != "", hidden) == (True, [])


def test_an_error_hands_over_no_control_sequences():
    def fail() -> Environment:
        raise SetupError(f"[bold]{EVIL}[/bold]\nNext: mend it.")

    app = commands.App(fail, lambda: None, None)
    result = CliRunner().invoke(commands.cli, ["tables"], obj=app)
    assert "[bold]a\\x1b[2J" in result.stderr
    assert all(line.isprintable() for line in result.stderr.split("\n"))
