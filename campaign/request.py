"""What is asked of a proposal."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

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

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `restored` makes the same request; positions as compressed text."""
        pin = [p if isinstance(p, str) else dict(p) for p in self.pin]
        said = {"size": self.size, "more": self.more, "again": self.again, "pin": pin, "veto": list(self.veto)}
        only = None if self.only is None else _packed(np.asarray(self.only))
        return said | {"reason": self.reason, "only": only}

    @classmethod
    def restored(cls, said: Mapping[str, Any]) -> Self:
        """The request that `as_json` wrote, as a dry run."""
        only = said["only"]
        return cls(
            size=said["size"],
            more=said["more"],
            dry_run=True,
            again=said["again"],
            only=None if only is None else np.frombuffer(zlib.decompress(b64decode(only)), dtype="<i8"),
            pin=tuple(said["pin"]),
            veto=tuple(said["veto"]),
            reason=said["reason"],
        )


def _packed(indices: Indices) -> str:
    return b64encode(zlib.compress(indices.astype("<i8").tobytes(), 9)).decode()
