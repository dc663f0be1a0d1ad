"""What every filter is: a rule in the spec that judges a candidate, and by default only says so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from campaign.filters.material import Material
from campaign.grammar import Frozen


@dataclass(frozen=True)
class Finding:
    """What a rule makes of one material."""

    passed: bool | None
    """None where the rule cannot tell."""
    value: float | str | None
    """What was compared: a charge, a mismatch, the elements at fault; None where there is nothing to say."""
    reason: str
    """In words, whether it passed or not."""


@dataclass(frozen=True)
class Verdict:
    """A finding with the rule it comes from."""

    rule: str
    mode: Literal["annotate", "hard"]
    passed: bool | None
    value: float | str | None
    reason: str
    source: str
    """Where the rule's numbers come from, with version."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the ledger."""
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What rules may look up beside the material itself."""

    files: Mapping[str, bytes]
    """The files that the spec names, by name."""
    proxies: Mapping[int, float]
    """X of a structure candidate -> its formation-energy proxy in eV/atom."""


class Filter(Frozen, ABC):
    """A rule about candidates. A new one is one file with one of these, named in `AnyFilter`."""

    rule: str
    """Which rule it is."""
    mode: Literal["annotate", "hard"] = "annotate"
    """`annotate`, the default, only says what it finds; `hard` takes candidates that fail out of the proposals."""

    def files(self) -> tuple[str, ...]:
        """Names of the files that the rule reads, relative to the spec."""
        return ()

    def check(self, facts: Facts) -> None:
        """Whether its files can be used.

        Raises:
            InvalidInput: a file cannot be read as what the rule needs; all problems at once.
        """

    @property
    @abstractmethod
    def source(self) -> str:
        """Where its numbers come from, with version."""

    @abstractmethod
    def judge(self, material: Material, x: int | None, facts: Facts) -> Finding:
        """What it makes of a material; `x` is X of a structure candidate, else None."""


def pymatgen_version() -> str:
    """`pymatgen 2026.10.24`."""
    from importlib.metadata import version

    return f"pymatgen {version('pymatgen')}"
