import subprocess
import sys
from pathlib import Path

import pytest

import surrogates

ROOT = Path(__file__).parents[2]


def test_importing_the_package_and_the_registry_costs_nothing():
    code = "import sys, surrogates, surrogates.recipes; print([m for m in ('torch', 'pymatgen') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", surrogates.__all__)
def test_every_name_offered_is_there(name):
    assert callable(getattr(surrogates, name))


def test_names_that_are_not_offered_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = surrogates.nothing
