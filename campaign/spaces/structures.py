"""What a space of atomic structures is to the rest of a campaign, beside being a space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from campaign.spaces.base import Space

if TYPE_CHECKING:
    from pymatgen.core import Structure


@runtime_checkable
class StructureSpace(Space, Protocol):
    """A space whose X has one column, `structure`, a whole number that names a candidate: its x."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements of whose shares `coordinates` are the halves, in their order."""

    @property
    def structure_count(self) -> int:
        """Number of structures of all candidates, to be encoded once each."""

    def structures(self, x: int) -> tuple[Structure, ...]:
        """The structure of a candidate, or those whose ensemble it is.

        Each has the site properties `label` (str; `Ti@M3` on a sublattice, else `O12`), `dopant`, `sublattice`,
        `surface`, `adsorbate` (bool) and `layer` (int, 0 = top).

        Raises:
            ValueError: there is no such x.
        """

    def formula(self, x: int) -> str:
        """All that it is made of: `Co10 Ti1 Zn1 O24 H12`."""

    def substitutions(self, x: int) -> tuple[tuple[str, str], ...]:
        """(host's element, dopant) for each dopant, once; empty where no host is known."""
