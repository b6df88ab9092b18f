"""The first files of a repository of one's own, which has the engine from a wheel."""

from importlib.metadata import version
from pathlib import Path

_WORKSPACE = """load_from:
  - python_module:
      module_name: lakehouse.definitions
      working_directory: .
"""
_DAGSTER = """# Dagster's own settings.
telemetry:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
concurrency:
  runs:
    max_concurrent_runs: 4
sensors:
  use_threads: true
  num_workers: 4
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
python_logs:
  python_log_level: INFO
"""
_IGNORED = """.venv/
.env
data/
__pycache__/
.pytest_cache/
.ruff_cache/
.mypy_cache/
"""
_README = """# {name}

Tables in Delta Lake, from delivered files to marts, with the engine `lakehouse`.

```sh
python -m pip install "lakehouse=={engine}"
lakehouse profile some-file.csv                  # what a file looks like
lakehouse new shop/orders --from some-file.csv   # a table for it, tried with the file
mkdir -p data/landing/orders && cp some-file.csv data/landing/orders/
lakehouse demo                                   # lands new files, and rebuilds what is stale
lakehouse tables
lakehouse-ui                                     # Dagster's UI, with sensors and schedules
```

| folder | what is in it |
|---|---|
| `assets/<domain>/` | the tables |
| `checks/` | what they promise |
| `tests/` | each sample through its table |
| `data/` | the lake, and `landing/`, where files are delivered; never committed |
"""
_PROJECT = """[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["lakehouse=={engine}"]

[project.optional-dependencies]
dev = ["mypy", "pytest", "ruff"]

[tool.dagster]
module_name = "lakehouse.definitions"

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]

[tool.ruff]
line-length = 100
target-version = "py311"

[tool.ruff.lint.per-file-ignores]
# The dicts of `class Table` (`rules`, `references`) are read once, as the class is made.
"checks/**" = ["RUF012"]
"""


def write_project(folder: Path) -> tuple[list[Path], list[Path]]:
    """Writes the first files of a project; those that exist stay as they are.

    Returns:
        The files that were written, and those that exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home = folder.resolve() / "data" / "dagster"
    name = "-".join(folder.resolve().name.lower().split()) or "lakehouse-project"
    engine = version("lakehouse")
    files = {
        "pyproject.toml": _PROJECT.format(name=name, engine=engine),
        "README.md": _README.format(name=name, engine=engine),
        "workspace.yaml": _WORKSPACE,
        "dagster.yaml": _DAGSTER,
        "data/dagster/dagster.yaml": _DAGSTER,
        ".gitignore": _IGNORED,
        ".env": f"DAGSTER_HOME={home}\n",
        "assets/__init__.py": '"""The declared tables, a folder for each domain."""\n',
        "checks/__init__.py": '"""What tables promise."""\n',
    }
    written, existing = [], []
    for relative, text in files.items():
        path = folder / relative
        if path.exists():
            existing.append(path)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    for empty in ("data/landing", "tests"):
        (folder / empty).mkdir(parents=True, exist_ok=True)
    return written, existing
