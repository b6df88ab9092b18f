"""A declaration as Python source: `Files(separator=";", encoding="cp1252")`."""

import json

from lakehouse.tables.files import Files


def write_files(files: Files) -> str:
    """Returns a declaration as people would write it; `Files()` if it is a plain file."""
    options = ", ".join(
        f"{name}={write_value(value)}" for name, value in files.list_changed().items()
    )
    return f"Files({options})"


def write_value(value: object) -> str:
    """Returns a value as Python source, with double quotes as the formatter writes them."""
    if isinstance(value, str):
        # JSON escapes as Python does, but for letters beyond 16 bits, which stay as they are.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
    if isinstance(value, tuple):
        inner = ", ".join(map(write_value, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(write_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{write_value(key)}: {write_value(held)}" for key, held in value.items())
        return f"{{{', '.join(pairs)}}}"
    return repr(value)
