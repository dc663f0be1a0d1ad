"""A small campaign, started in a database of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_campaign import history, results, spec_of

from campaign import Campaign


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Campaign]:
    """Start a campaign in a database of its own: `start(n=8, sign=1, **changes of the spec)`."""
    count = 0

    def make(n: int = 8, *, sign: float = 1.0, **changes: Any) -> Campaign:
        nonlocal count
        count += 1
        path = tmp_path / f"spec{count}.yaml"
        path.write_text(yaml.safe_dump(spec_of(**changes)))
        campaign = Campaign.start(path, db=f"sqlite:///{tmp_path}/db{count}.db", by="tests")
        if n:
            campaign.ingest(results(history(campaign, n), sign=sign), name="history.csv", commit=True)
        return campaign

    return make
