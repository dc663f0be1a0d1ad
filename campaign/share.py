"""Sharing samples of another campaign with this one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from campaign.sharing import SAMPLE_SHARED, reference
from campaign.state import BATCH_RECOMMENDED, RESULT_KINDS, SPEC_REVISED, load_state
from campaign.writing import retried
from db.errors import InvalidInput, Problem
from db.records import Event
from db.store import Store


def share(store: Store, name: str, other: str, labels: Sequence[str], *, by: str) -> Event | None:
    """Let samples of another campaign count in this one, with what is measured of them now and later.

    A pending recommendation of the same design is answered by it. What is shared already is left as it is.

    Args:
        store: where both campaigns are.
        name: of the campaign that borrows.
        other: the campaign that the samples belong to.
        labels: of the samples there.
        by: who shares them.

    Returns:
        The event; None where all of them are shared already.

    Raises:
        InvalidInput: a sample does not exist, or has no place in this campaign; all problems at once.
        Overtaken: others kept recording at the same moment.
    """
    store.require(name)
    store.require(other)
    if name == other or not labels:
        what = "a campaign has its own samples in any case" if name == other else "no sample is named"
        raise InvalidInput(Problem(f"campaign {name}", what, "name samples of another campaign"))

    def attempt() -> Event | None:
        with store.reading():
            state = load_state(store, name)
            head = store.head(other)
            shared: dict[str, Any] = {}
            problems: list[Problem] = []
            for label in dict.fromkeys(labels):
                try:
                    sample = reference(store, other, label, state.spec, state.space)
                except InvalidInput as error:
                    problems += error.problems
                    continue
                candidate = state.space.design_candidate(sample.design).id
                answered = {said["answers"] for said in shared.values()}
                waiting = [r for r in state.pending if r.id not in state.sample_of and r.id not in answered]
                answers = next((r.id for r in waiting if r.candidate == candidate), None)
                shared[sample.id] = {"campaign": other, "label": label, "answers": answers}
            if problems:
                raise InvalidInput(problems)
            known = {s.id for s in state.samples}
            shared = {key: said for key, said in shared.items() if key not in known}
        if not shared:
            return None
        return store.append(
            name,
            SAMPLE_SHARED,
            {"shared": shared, "head": {"seq": head.seq, "hash": head.hash}},
            by=by,
            after=state.head.seq,
            unless={BATCH_RECOMMENDED, SPEC_REVISED, SAMPLE_SHARED, *RESULT_KINDS},
        )

    return retried(attempt)
