"""The fleet on a Ray cluster, in an environment that has Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world.conftest import installed
from tests.world.elsewhere import ROOT, WITHIN, run_pytest
from tests.world.environments import RAY

pytestmark = pytest.mark.timeout(900)


def test_a_fleet_on_two_machines_one_of_which_dies(ferry_alone: Path) -> None:
    run_pytest(installed(RAY), [WITHIN / "test_ray.py"], [ferry_alone, ROOT])
