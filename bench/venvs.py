"""The peers, each in a virtual environment with pinned versions, created when first needed."""

import hashlib
import subprocess
import venv
from pathlib import Path

from bench.measure import ROOT

PEERS = ROOT / "bench" / "peers"
_HOME = ROOT / "bench" / "out" / "venvs"


def python_of(peer: str) -> Path:
    """Returns the interpreter of a peer, installed by `bench/peers/<peer>/requirements.txt`.

    `constraints.txt` next to it pins the version of every dependency.

    Raises:
        RuntimeError: pip cannot install it.
    """
    pinned, bounds = PEERS / peer / "requirements.txt", PEERS / peer / "constraints.txt"
    home = _HOME / peer
    python, stamp = home / "bin" / "python", home / "installed"
    digest = hashlib.sha256(pinned.read_bytes() + bounds.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {peer} …", flush=True)
        venv.create(home, with_pip=True, clear=True)
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(pinned),
        ]
        pip += ["-c", str(bounds)]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{peer} cannot be installed into {home}:\n{done.stderr[-2000:]}")
        stamp.write_text(digest)
    return python


def versions_of_peers(commands: str) -> dict[str, list[str]]:
    """Returns the pinned versions of each peer whose interpreter some commands call."""
    peers = sorted(path.parent for path in PEERS.glob("*/requirements.txt"))
    called = [peer for peer in peers if str(_HOME / peer.name) in commands]
    return {peer.name: (peer / "requirements.txt").read_text().splitlines() for peer in called}
