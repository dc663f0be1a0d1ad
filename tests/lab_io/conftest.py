"""The messy pack lives beside the benchmark that also runs it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
