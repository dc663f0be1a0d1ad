"""What is asked of a proposal."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.screen import Indices
from db.records import Design


@dataclass(frozen=True)
class Request:
    """What is asked of a proposal.

    Attributes:
        size: batch size, controls included where there is room for more than them; None for the spec's.
        more: a further batch, even while the latest one is open.
        dry_run: compute, and record nothing.
        again: candidates whose samples failed may be proposed again.
        only: restrict the space to these candidate indices (a replay has values for some only).
        pin: labels of the open batch, or designs, that the batch must hold; what else is pending of it goes.
        veto: labels or designs that are not to be proposed until the veto is lifted; the open batch is proposed anew.
        reason: of the vetoes.
    """

    size: int | None = None
    more: bool = False
    dry_run: bool = False
    again: bool = False
    only: Indices | None = None
    pin: tuple[str | Design, ...] = ()
    veto: tuple[str, ...] = ()
    reason: str | None = None
