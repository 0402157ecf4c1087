"""What the paths that every message takes cost, in instructions: seen without a quiet machine.

`python -m tests.test_instructions` measures and records anew, after a change that is meant.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORDED = Path(__file__).with_name("instructions.json")
PATHS = ("framer", "envelope", "events", "machine")
TOLERANCE = 1.15
"""Another compiler or allocator moves the counts by some hundredths; a needless copy or parse by tenths."""

FEW, MANY = 500, 1500


@cache
def program() -> Path:
    """The example `hot_paths`, built as the wheel is."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    build = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--locked",
        "-p",
        "ferry-proto",
        "--example",
        "hot_paths",
    ]
    subprocess.run(build, cwd=ROOT, check=True)
    return target / "release" / "examples" / "hot_paths"


def instructions(path: str, times: int) -> int:
    """How many instructions a whole run executes."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    ran = subprocess.run([*tool, program(), path, str(times)], capture_output=True, check=True, text=True)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    assert found, ran.stderr
    return int(found[1])


def cost(path: str) -> int:
    """What one round of a path costs; start and end of the program cancel out."""
    return (instructions(path, MANY) - instructions(path, FEW)) // (MANY - FEW)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PATHS)
def test_no_path_has_become_dearer(path: str) -> None:
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not here: instructions are not counted")
    recorded = json.loads(RECORDED.read_text())[path]
    assert cost(path) <= recorded * TOLERANCE, "if that is meant: python -m tests.test_instructions"


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({path: cost(path) for path in PATHS}, indent=2) + "\n")
