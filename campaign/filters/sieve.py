"""The filters of a campaign at work: hard ones on chunks of the space, all of them on what is recommended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from campaign.filters.base import Facts, Filter, Verdict
from campaign.filters.energy import proxies
from campaign.filters.material import FormulaSpace, composition_of, materials
from campaign.spaces import Space
from campaign.spaces.base import Floats, Ints
from lab_io.words import count


@dataclass
class Tally:
    """What hard filters took out of the candidates they looked at."""

    looked_at: int = 0
    removed: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    """A candidate counts under every rule that it fails."""

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        self.looked_at += other.looked_at
        self.removed += other.removed
        self.by_rule += other.by_rule

    def sentence(self) -> str:
        """`hard filters took out 120 of 924 candidates: excluded_elements 80, precursor_available 60`."""
        rules = ", ".join(f"{rule} {n:,}" for rule, n in self.by_rule.most_common())
        told = f"hard filters took out {self.removed:,} of {self.looked_at:,} candidates"
        return f"{told}: {rules}" if rules else told


class Sieve:
    """The filters of a spec on its space.

    Args:
        filters: of the spec.
        space: of the campaign.
        files: those that the spec names, by name.
        energies: X of a structure candidate -> energy per atom in eV, for `formation_energy_proxy`; the baseline is
            fitted to all of them.
    """

    def __init__(
        self,
        filters: Sequence[Filter],
        space: Space,
        files: Mapping[str, bytes],
        energies: Mapping[int, float] | None = None,
    ) -> None:
        self.filters = tuple(filters)
        self.space = space
        wanted = (energies or {}) if any(f.rule == "formation_energy_proxy" for f in self.filters) else {}
        known = {x: composition_of(space, np.array([float(x)])) for x in wanted}
        self._facts = Facts(files, proxies(wanted, known))

    @property
    def hard(self) -> tuple[Filter, ...]:
        """The filters that take candidates out."""
        return tuple(f for f in self.filters if f.mode == "hard")

    def check(self) -> None:
        """Whether the files of the filters can be used.

        Raises:
            InvalidInput: one cannot.
        """
        for f in self.filters:
            f.check(self._facts)

    def kept(self, indices: Ints, tally: Tally | None = None) -> Ints:
        """The candidates that no hard filter takes out; what cannot be judged stays.

        Args:
            indices: positions in the space, `n`.
            tally: what is taken out is added to it.
        """
        if not self.hard or not len(indices):
            return indices
        failed = self.failures(indices, self.hard)
        gone = np.any(failed, axis=0)
        if tally is not None:
            tally.looked_at += len(indices)
            tally.removed += int(gone.sum())
            for f, rows in zip(self.hard, failed, strict=True):
                if rows.any():
                    tally.by_rule[f.rule] += int(rows.sum())
        return indices[~gone]

    def failures(self, indices: Ints, filters: Sequence[Filter]) -> NDArray[np.bool_]:
        """Whether each filter fails each candidate, `filters x n`; each composition is judged once."""
        X = self.space.X(indices)
        different, which = materials(self.space, X)
        found = np.zeros((len(filters), len(indices)), dtype=bool)
        for row, f in enumerate(filters):
            if f.rule == "formation_energy_proxy":  # of the arrangement, not of the composition
                failed = [self._passed(f, x) is False for x in X]
                found[row] = failed
            else:
                by_material = [f.judge(material, None, self._facts).passed is False for material in different]
                found[row] = np.array(by_material, dtype=bool)[which]
        return found

    def _passed(self, f: Filter, x: Floats) -> bool | None:
        return f.judge(composition_of(self.space, x), self._number(x), self._facts).passed

    def takes_out(self, x: Floats) -> bool:
        """Whether a hard filter takes out a design, `d`; what cannot be judged stays."""
        return any(self._passed(f, x) is False for f in self.hard)

    def verdicts(self, x: Floats) -> list[Verdict]:
        """What every filter makes of one design, `d`, in the order of the spec."""
        material = composition_of(self.space, x)
        found = []
        for f in self.filters:
            said = f.judge(material, self._number(x), self._facts)
            found.append(Verdict(f.rule, f.mode, said.passed, said.value, said.reason, f.source))
        return found

    def _number(self, x: Floats) -> int | None:
        return int(x[0]) if isinstance(self.space, FormulaSpace) else None


EXACT = 100_000
"""Candidates up to which a preview counts all of them."""
PREVIEWED = 20_000
"""Candidates that stand for a larger space."""


def preview(sieve: Sieve) -> list[str]:
    """How many candidates each filter would fail, in words, one line a filter; of a large space by an even sample."""
    total = sieve.space.count
    exact = total <= EXACT
    indices = np.arange(total) if exact else np.linspace(0, total - 1, PREVIEWED).astype(np.int64)
    shares = sieve.failures(indices, sieve.filters).mean(axis=1) if len(sieve.filters) else []
    lines = []
    for f, share in zip(sieve.filters, shares, strict=True):
        verb = "takes out" if f.mode == "hard" else "marks"
        if f.rule == "formation_energy_proxy":
            lines.append(f"{f.rule} ({f.mode}): {verb} what has too high an energy, once structures are encoded")
        elif exact:
            lines.append(f"{f.rule} ({f.mode}): {verb} {count(round(share * total), 'candidate')}")
        else:
            lines.append(f"{f.rule} ({f.mode}): {verb} about {100 * share:.2g} % of the candidates")
    return lines
