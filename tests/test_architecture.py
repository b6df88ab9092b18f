"""The house: which way imports point, what may be imported at all, and how large a module may be."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("lakehouse", "assets", "checks", "resources", "samples")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
ROOTS = ("lakehouse.project.composition", "lakehouse.definitions", "lakehouse.command")
"""Where the engine, the domains and their surroundings are put together."""

GROUND = {
    *(
        "errors",
        "calendar",
        "expressions",
        "system_columns",
        "redaction",
        "url_secrets",
        "failpoints",
        "wording",
        "origin",
    ),
}
ROOMS = {
    "storage": set(),
    "tables": {"storage"},
    "publish": {"storage"},
    "quarantine": {"publish", "tables", "storage"},
    "lineage": {"quarantine", "publish", "tables", "storage"},
    "ingest": {"quarantine", "publish", "tables", "storage"},
    "transform": {"lineage", "quarantine", "publish", "tables", "storage"},
    "environment": {"transform", "ingest", "lineage", "quarantine", "publish", "tables", "storage"},
    "project": {"storage"},
    "operations": {
        "environment",
        "transform",
        "ingest",
        "lineage",
        "quarantine",
        "publish",
        "tables",
        "storage",
    },
    "observe": {"environment", "ingest", "lineage", "quarantine", "publish", "tables", "storage"},
    "scaffold": {
        *("observe", "environment", "transform", "ingest", "lineage", "quarantine", "publish"),
        *("tables", "storage"),
    },
    "cli": {
        "scaffold",
        *("observe", "operations", "environment", "transform", "ingest", "lineage", "quarantine"),
        *("publish", "tables", "storage"),
    },
    "orchestration": {
        *(
            "project",
            "observe",
            "operations",
            "environment",
            "transform",
            "ingest",
            "lineage",
            "quarantine",
        ),
        *("publish", "tables", "storage"),
    },
}
"""Each room and the rooms that it may import; the ground is open to all, and a room to itself."""

NOT_YET: set[str] = set()
"""Imports that stand against the arrows today."""

SHELL = ("lakehouse.orchestration", "lakehouse.cli", *ROOTS)
CORE = [name for name in MODULES if name.startswith("lakehouse") and not name.startswith(SHELL)]
DOMAINS = sorted(
    path.name for path in (ROOT / "assets").iterdir() if (path / "__init__.py").exists()
)


@cache
def tree(name: str) -> ast.Module:
    """The parsed code of a module; it is only read."""
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> set[str]:
    """The modules that a module imports, `from package import module` resolved to the module."""
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            targets = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (
                targets & set(MODULES)
                if targets <= set(MODULES)
                else {node.module or ".", *targets & set(MODULES)}
            )
    return found


def own(name: str) -> set[str]:
    """The parts of this project that a module imports: packages, and modules of the engine."""
    return {target for target in imports(name) if target.split(".")[0] in PACKAGES}


def offenders(names, wrong) -> dict[str, list[str]]:
    """For each module the imports that it must not have."""
    found = {name: sorted(target for target in imports(name) if wrong(target)) for name in names}
    return {name: targets for name, targets in found.items() if targets}


def below(*packages: str):
    return lambda target: any(
        target == package or target.startswith(f"{package}.") for package in packages
    )


def modules_of(*packages: str) -> list[str]:
    return [name for name in MODULES if below(*packages)(name)]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("assets", ("resources", "samples", *SHELL)),
        ("checks", ("assets", "resources", "samples", *SHELL)),
        ("resources", ("assets", "checks", "samples", *SHELL)),
        ("samples", ("assets", "checks", "resources", "lakehouse")),
    ],
)
def test_imports_point_towards_the_engine(package, forbidden):
    assert offenders(modules_of(package), below(*forbidden)) == {}


def test_the_engine_knows_nothing_that_is_built_on_it():
    projects = below("assets", "checks", "resources", "samples")
    assert offenders(modules_of("lakehouse"), projects) == {}


def test_nobody_imports_the_composition_root():
    assert offenders([name for name in MODULES if name not in ROOTS], below(*ROOTS)) == {}


def test_the_core_imports_neither_the_shell_nor_the_command_line():
    assert offenders(CORE, below(*SHELL)) == {}


def test_the_command_line_imports_no_shell():
    assert offenders(["lakehouse.cli.commands"], below("lakehouse.orchestration")) == {}


def test_only_the_shell_imports_dagster():
    others = [
        name
        for name in MODULES
        if not name.startswith(("lakehouse.orchestration", "lakehouse.definitions"))
    ]
    assert offenders(others, below("dagster")) == {}


def room_of(module: str) -> str:
    """The room or ground file of a module of the engine."""
    return module.split(".")[1] if "." in module else ""


ENGINE = [
    name for name in MODULES if below("lakehouse")(name) and name not in (*ROOTS, "lakehouse")
]


@pytest.mark.parametrize("module", ENGINE)
def test_a_module_belongs_to_a_room(module):
    assert room_of(module) in {*ROOMS, *GROUND}


@pytest.mark.parametrize("module", ENGINE)
def test_a_room_imports_only_what_stands_in_its_row(module):
    here = room_of(module)
    open_to_it = {here, *GROUND, *ROOMS.get(here, ())}
    reached = {room_of(target) for target in own(module) if below("lakehouse")(target)}
    wrong = {f"{module} -> {room}" for room in reached - open_to_it}
    assert wrong == {arrow for arrow in NOT_YET if arrow.startswith(f"{module} -> ")}


def test_the_ground_is_at_most_nine_modules():
    assert len(GROUND) <= 9


FACE = [
    *("AsOf", "Contract", "Daily", "Days", "Drift", "Field", "Files"),
    *("FullDumps", "Instant", "Monthly", "Weekly"),
    *("cast", "file_name", "join_as_of", "mart", "raw", "read_boolean", "read_date"),
    *("read_epoch", "read_excel_date", "read_instant", "read_number", "sql_mart", "staged"),
]


def test_the_face_for_people_who_write_tables_is_pinned():
    assert importlib.import_module("lakehouse.tables").__all__ == FACE


def test_a_domain_imports_the_face_alone():
    wrong = {
        name: sorted(t for t in imports(name) if below("lakehouse")(t) and t != "lakehouse.tables")
        for name in modules_of("assets", "checks")
    }
    assert {name: targets for name, targets in wrong.items() if targets} == {}


def public_names(name: str) -> set[str]:
    """What a module defines for others."""
    found = set()
    for node in tree(name).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {word for word in found if not word.startswith("_")}


TWICE: set[str] = set()
"""Public names that two rooms define today."""


def test_no_public_name_is_defined_in_two_rooms():
    rooms: dict[str, set[str]] = {}
    for name in ENGINE:
        for word in public_names(name):
            rooms.setdefault(word, set()).add(room_of(name))
    assert {word for word, found in rooms.items() if len(found) > 1} == TWICE


def test_no_module_of_the_project_imports_itself_in_a_circle():
    known = {name: {target for target in own(name) if target in MODULES} for name in MODULES}
    while free := {name for name, targets in known.items() if not targets & set(known) - {name}}:
        known = {name: targets for name, targets in known.items() if name not in free}
    assert known == {}


def test_nothing_private_of_another_library_is_imported():
    foreign = re.compile(r"(?!lakehouse|assets|checks|resources|samples|__future__).*(^|\.)_\w")
    # Dagster has no public name for what a storage is built of; its own storages in other packages import the same.
    storage = "lakehouse.orchestration.storage"
    assert offenders(MODULES.keys() - {storage}, foreign.match) == {}
    assert (
        offenders([storage], lambda name: foreign.match(name) and not name.startswith("dagster."))
        == {}
    )


def private_names(name: str) -> Iterator[str]:
    """Private names that are taken out of other modules."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            yield from (
                f"{node.module}.{a.name}" for a in node.names if re.match(r"_(?!_)", a.name)
            )


def test_no_private_name_of_another_module_is_imported():
    assert {name: found for name in MODULES if (found := list(private_names(name)))} == {}


def bare_scans(name: str) -> list[str]:
    """Calls of Polars that would read a path as a pattern, or as one that holds columns."""
    scans = {"scan_parquet", "read_parquet", "read_parquet_schema", "scan_ipc", "scan_csv"}
    calls = [node.func for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    return [
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute)
        and call.attr in scans
        and isinstance(call.value, ast.Name)
        and call.value.id == "pl"
    ]


def test_files_are_scanned_in_one_place_which_takes_no_path_for_a_pattern():
    # The archive reads bytes that it holds in memory. Arrow files are scanned with patterns off.
    allowed = {
        "lakehouse.storage.parquet",
        "lakehouse.storage.log_archive",
        "lakehouse.ingest.files.typed.typed_process",
    }
    names = [name for name in modules_of("lakehouse") if name not in allowed]
    assert {name: found for name in names if (found := bare_scans(name))} == {}


def broad_handlers(name: str) -> Iterator[int]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ExceptHandler):
            caught = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
            if any(
                c is None or (isinstance(c, ast.Name) and c.id in {"Exception", "BaseException"})
                for c in caught
            ):
                yield node.lineno


def test_no_handler_catches_everything():
    assert {name: lines for name in MODULES if (lines := list(broad_handlers(name)))} == {}


def words_of_code(name: str) -> str:
    """The code of a module without comments and docstrings."""
    parsed = deepcopy(tree(name))
    for node in ast.walk(parsed):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(ast.fix_missing_locations(parsed)).lower()


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


DOMAIN_WORDS = (
    "invoice",
    "customer",
    "retail",
    "energy",
    "fx_rate",
    "country",
    "sales",
    "stock_code",
)


@pytest.mark.parametrize("name", modules_of("lakehouse"))
def test_the_engine_speaks_of_no_domain(name):
    code = words_of_code(name)
    assert [word for word in (*DOMAIN_WORDS, *DOMAINS) if re.search(rf"\b{word}", code)] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_opens_with_its_charter(name):
    assert ast.get_docstring(tree(name)) or not MODULES[name].read_text().strip()


TO_SPLIT = {}
"""Modules that are two things today."""


@pytest.mark.parametrize("name", sorted(MODULES.keys() - TO_SPLIT))
def test_a_module_is_one_thing(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 300


TO_SHORTEN: set[str] = set()
"""Modules that hold a function of more than fifty lines today."""


@pytest.mark.parametrize("name", sorted(MODULES.keys() - TO_SHORTEN))
def test_a_function_fits_on_a_screen(name):
    functions = [
        node
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {
        f.name: f.end_lineno - f.lineno + 1
        for f in functions
        if (f.end_lineno or 0) - f.lineno + 1 > 50
    }
    assert long == {}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "lakehouse").rglob("__init__.py")), ids=lambda path: path.parent.name
)
def test_a_package_holds_its_charter_and_its_public_names_alone(path):
    docstring, *others = ast.parse(path.read_text(encoding="utf-8")).body
    assert _is_text(docstring)
    wrong = [
        ast.unparse(node)
        for node in others
        if not isinstance(node, ast.ImportFrom)
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    ]
    assert wrong == []


def test_no_module_has_a_name_that_says_nothing():
    assert [
        name for name in MODULES if re.search(r"\b(utils|helpers|common|base|manager)$", name)
    ] == []


WATCH = """
import socket, sys, importlib
written = []
def watch(event, args):
    if event.startswith(("socket.", "urllib")) and event != "socket.__new__":
        written.append((event, str(args)))
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+") and "/dev/" not in str(args[0]):
        written.append((event, str(args[0])))
    if event in ("os.mkdir", "os.rename", "os.remove", "tempfile.mkdtemp", "tempfile.mkstemp"):
        written.append((event, str(args)))
for library in ("polars", "pandera.polars", "deltalake", "duckdb", "obstore", "dagster", "pydantic_settings", "rich", "dagster_webserver.app"):
    importlib.import_module(library)
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(written)
"""


def test_importing_touches_no_network_and_writes_nothing(tmp_path):
    names = [name for name in MODULES if name not in ROOTS and not name.endswith("__main__")]
    quiet = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *names],
        cwd=tmp_path,
        env=quiet,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_the_core_runs_without_dagster(tmp_path):
    code = "import sys, importlib\nfor n in sys.argv[1:]: importlib.import_module(n)\nprint('dagster' in sys.modules)"
    names = [*CORE, *modules_of("assets", "checks", "resources")]
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *names],
        cwd=tmp_path,
        env=known,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


DISTRIBUTIONS = {
    "dagster_aws": "dagster-aws",
    "dagster_webserver": "dagster-webserver",
    "dotenv": "python-dotenv",
    "graphql": "graphql-core",
    "pydantic_settings": "pydantic-settings",
    "python_calamine": "python-calamine",
}
"""Packages whose name differs from that of their import."""

BROUGHT_ALONG = {"alembic": "dagster", "sqlalchemy": "dagster", "botocore": "boto3"} | {
    "pydantic": "pydantic-settings"
}
"""Packages that a declared one needs itself, and hands out in its own interface."""


def test_every_package_that_the_engine_imports_is_declared():
    # A user installs no development tools, and what only they bring is missing there.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [
        one
        for name, some in project["optional-dependencies"].items()
        if name != "dev"
        for one in some
    ]
    declared = {re.split(r"[^\w.-]", one)[0] for one in [*project["dependencies"], *extras]}
    # `make demo-s3` installs the tools of the tests before it starts this program.
    imported = {
        target.split(".")[0]
        for name in MODULES.keys() - {"resources.s3_server"}
        for target in imports(name)
        if target != "." and target.split(".")[0] not in {*PACKAGES, *sys.stdlib_module_names}
    }
    needed = {BROUGHT_ALONG.get(one, DISTRIBUTIONS.get(one, one)) for one in imported}
    assert needed - declared == set()
