"""The domain of a module that declares tables, and the prefix that it gives to their names.

The name of a table is unique over all domains. A domain whose tables may have the names of others
says `PREFIX = True` in its `__init__.py`: its tables are then called `<domain>_<table>`.
"""

import sys


def get_domain(module: str) -> str:
    """Returns `retail` for `assets.retail.staged`."""
    folder, *inner = module.split(".")
    return inner[0] if len(inner) > 1 else folder


def get_prefix(module: str) -> str:
    """Returns what the names of the tables of a module begin with: `retail_`, or nothing."""
    # A package is loaded before its modules.
    package = sys.modules.get(".".join(module.split(".")[:2]))
    return f"{get_domain(module)}_" if getattr(package, "PREFIX", False) is True else ""
