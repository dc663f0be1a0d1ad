"""Prefect, quiet and offline, and the one kind of task that the flows are made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Set before Prefect is imported; what a user has set wins.
SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a cold start takes 10 s, more on a busy machine
    "PREFECT_HOME": str(Path.home() / ".cache" / "siteloop" / "prefect"),
}
for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # Prefect does not make the folders above it

import prefect  # noqa: E402

from db.errors import SiteloopError  # noqa: E402


def transient(task: Any, run: Any, state: Any) -> bool:
    """Whether a failure may pass by itself: bad input and conflicts do not."""
    return not isinstance(state.result(raise_on_failure=False), SiteloopError)


step: Callable[..., Any] = partial(
    prefect.task, retries=2, retry_delay_seconds=1, retry_condition_fn=transient, persist_result=False
)
"""A task that can be repeated without doubling anything. Its result stays in memory, so nothing is ever pickled."""

flow: Callable[..., Any] = partial(prefect.flow, persist_result=False, validate_parameters=False)
"""A flow over such tasks."""
