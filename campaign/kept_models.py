"""Fitted surrogates on disk, in a folder named by the hash of their content; derived, safe to delete."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError

from campaign.lessons import Lesson, lessons
from campaign.spec import Objective
from campaign.state import State
from db.errors import InvalidInput, Problem
from surrogates.choice import Choice
from surrogates.fitted import Fitted, load

FOLDER = "models"


def keep(artifacts: Path, fitted: Fitted) -> None:
    """Write a surrogate beside its place and rename it, so that no half of it is ever read.

    Where nothing can be written nothing is kept: it can be fitted again.
    """
    place = artifacts / FOLDER / fitted.hash
    if place.is_dir():
        return
    part = place.with_name(f"{uuid4().hex}.part")
    try:
        fitted.save(part)
        part.rename(place)
    except (OSError, SafetensorError):  # a full disk is either, by what is being written
        shutil.rmtree(part, ignore_errors=True)


def kept(artifacts: Path, key: str) -> Fitted:
    """The surrogate of this hash.

    Raises:
        InvalidInput: it is not there, or is not what was kept.
    """
    place = artifacts / FOLDER / key
    fix = "replay the batch without --from-model, which fits it again"
    found = None
    with suppress(OSError, ValueError, KeyError, TypeError, SafetensorError):
        found = load(place)
    if found is None:
        raise InvalidInput(Problem(str(place), "the surrogate is not there, or cannot be read", fix))
    if found.hash != key:
        raise InvalidInput(Problem(str(place), "the surrogate was altered: its hash is not its name", fix))
    return found


@dataclass(frozen=True)
class KeptModel:
    """A surrogate as a batch was computed with it, and what was said of its choice."""

    fitted: Fitted
    told: Mapping[str, Any]
    """What the batch says of it, as `provenance.choice_settings` wrote it."""

    @property
    def choice(self) -> Choice:
        """The choice as it was."""
        return Choice(self.fitted.recipe, {}, self.told["reason"], self.fitted, {})

    def lessons(self, state: State, objective: Objective, sign: float) -> tuple[Lesson, ...]:
        """What histories told, as the batch has it."""
        if "history" not in self.told:
            return ()
        fresh = lessons(state, objective, sign)
        return tuple(
            replace(lesson, used=said["used"], weight=said["weight"], reason=said["reason"])
            for lesson, said in zip(fresh, self.told["history"], strict=True)
        )


def models_of(artifacts: Path, settings: Mapping[str, Any]) -> dict[str, KeptModel]:
    """The surrogates of a batch by objective or constraint, from its settings.

    Raises:
        InvalidInput: one of them is not there any more; all that are missing at once.
    """
    found: dict[str, KeptModel] = {}
    problems: list[Problem] = []
    for name, told in settings.get("models", {}).items():
        try:
            found[name] = KeptModel(kept(artifacts, told["artefact"]), told)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return found
