"""Compositions as weighted bags of element tokens, and the element descriptors that the tokens carry."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from surrogates.bags import Bags

DESCRIPTORS = (
    "electronegativity",
    "valence_electrons",
    "period",
    "mendeleev_number",
    "atomic_radius",
    "molar_volume",
    "melting_point",
    "ionisation_energy",
    "electron_affinity",
)
"""Columns of an element's descriptor vector.

Pauling electronegativity; valence electron count (group number, less 10 in groups 13-18, 3 for f elements); period;
Mendeleev number; atomic radius (angstrom); molar volume (cm3/mol); melting point (K); first ionisation energy (eV);
electron affinity (eV). All from pymatgen (`pymatgen.core.Element`).
"""
REFERENCE = range(1, 95)
"""Atomic numbers of the elements (H to Pu) over which descriptors are standardised."""
SMOOTHING = 1e-6
"""Added to a fraction before its square root, so that the slope at 0 is large and not infinite."""
CONSTANT_LABEL = "design"
"""Name of the only token of a space without components."""


@lru_cache(maxsize=1)
def _element_table() -> dict[str, tuple[float, ...]]:
    """Standardised descriptors of every reference element; a value that is missing takes the mean, which is 0."""
    from pymatgen.core import Element

    symbols, rows = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of every missing value; they are filled below
        for number in REFERENCE:
            element = Element.from_Z(number)
            f_block = element.is_lanthanoid or element.is_actinoid
            valence = 3 if f_block else element.group - (10 if element.group > 12 else 0)
            values = (
                element.X,
                valence,
                element.row,
                element.mendeleev_no,
                element.atomic_radius,
                element.molar_volume,
                element.melting_point,
                element.ionization_energy,
                element.electron_affinity,
            )
            symbols.append(element.symbol)
            rows.append([math.nan if value is None else float(value) for value in values])
    table = torch.tensor(rows, dtype=torch.float64)
    table = table - table.nanmean(0)
    table = (table / table.square().nanmean(0).sqrt()).nan_to_num(0.0)
    return {symbol: tuple(row) for symbol, row in zip(symbols, table.tolist(), strict=True)}


@lru_cache(maxsize=64)
def descriptors(names: tuple[str, ...]) -> Tensor:
    """Descriptors of components, `k x len(DESCRIPTORS)`, float64, standardised over `REFERENCE`.

    A component that is no element has zeros. A descriptor that pymatgen lacks for an element (electronegativity of
    some noble gases, a few radii) is the mean over the reference elements. The result is cached: do not write to it.
    """
    table = _element_table()
    return torch.tensor([table.get(name, (0.0,) * len(DESCRIPTORS)) for name in names], dtype=torch.float64)


@lru_cache(maxsize=64)
def principal_axes(names: tuple[str, ...], count: int) -> Tensor:
    """Loadings that take fractions to principal components of the fraction-weighted descriptors, `k x p`, float64.

    The basis follows from the list of names alone: a singular value decomposition of the elements' centred
    descriptors, every component scaled to a range of 1 over the pure components, its largest loading positive.
    At most `count` components, fewer where the elements span fewer. The result is cached: do not write to it.
    """
    table = descriptors(names)
    known = table.abs().sum(1) > 0
    if known.sum() < 2:
        return table.new_zeros(len(names), 0)
    centred = (table - table[known].mean(0)) * known.unsqueeze(1)
    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    kept = min(count, int((singular > 1e-9 * singular[0]).sum()))
    loadings = centred @ axes[:kept].T
    loadings = loadings / (loadings.amax(0) - loadings.amin(0))
    largest = loadings.abs().argmax(0)
    return loadings * loadings[largest, torch.arange(kept)].sign()


def smooth_sqrt(fractions: Tensor) -> Tensor:
    """Square root of fractions with a finite slope at 0, any shape."""
    return (fractions + SMOOTHING).sqrt()


@dataclass(frozen=True)
class CompositionEncoder:
    """Designs as bags: one token for each component, other columns as side information.

    A token's features are the element's descriptors (zeros for a component that is no element), its identity as
    one-hot, and its fraction three times: as it is, its square root, and its logarithm (log1p(100 x) / log 101).
    Its weight is the fraction; a component of fraction 0 is masked. A space without components has one constant token.
    The map is differentiable in X and depends on nothing but the fields below.

    Raises:
        ValueError: a name occurs twice, or shift and scale do not fit the columns.
    """

    elements: tuple[str, ...]
    """Components in the order of the first columns of X: element symbols or other names."""
    columns: tuple[str, ...] = ()
    """Names of the columns of X after the fractions."""
    side_scale: tuple[Sequence[float], Sequence[float]] | None = None
    """Shift and scale of each side column: side = (x - shift) / scale. By default 0 and 1."""

    def __post_init__(self) -> None:
        names = (*self.elements, *self.columns)
        if len(set(names)) != len(names):
            raise ValueError(f"components and columns must have distinct names, not {', '.join(names)}")
        given = ((0.0,) * len(self.columns), (1.0,) * len(self.columns)) if self.side_scale is None else self.side_scale
        shift, scale = (tuple(float(v) for v in values) for values in given)
        if not len(shift) == len(scale) == len(self.columns):
            raise ValueError(
                f"{len(self.columns)} columns need as many shifts and scales, not {len(shift)}, {len(scale)}"
            )
        if not all(math.isfinite(v) for v in shift) or not all(math.isfinite(v) and v > 0 for v in scale):
            raise ValueError(f"shifts must be finite and scales positive, not {shift} and {scale}")
        object.__setattr__(self, "side_scale", (shift, scale))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the tokens."""
        return self.elements or (CONSTANT_LABEL,)

    @property
    def width(self) -> int:
        """Number of columns of X."""
        return len(self.elements) + len(self.columns)

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """Encode designs.

        Args:
            X: designs, `... x d`, float64; leading dimensions are flattened, row-major.
            stratum: of each row; by default all are in "".

        Raises:
            ValueError: X has another number of columns, holds a number that is not finite, or a row without components.
        """
        if X.shape[-1] != self.width:
            raise ValueError(
                f"X must have {self.width} columns ({', '.join(self.elements + self.columns)}), not {X.shape[-1]}"
            )
        X = X.reshape(-1, self.width)
        k = len(self.elements)
        weights = X[:, :k].clamp_min(0) if k else X.new_ones(len(X), 1)
        return Bags(
            features=self._tokens(weights),
            mask=weights > 0,
            weights=weights,
            side=(X[:, k:] - X.new_tensor(self._shift)) / X.new_tensor(self._scale),
            labels=self.labels,
            stratum=tuple(stratum) if stratum is not None else ("",) * len(X),
            kind="composition",
        )

    def designs(self, bags: Bags) -> Tensor:
        """The designs that these bags encode, `n x d`: the inverse of encoding, up to rounding of the side columns."""
        side = bags.side * bags.side.new_tensor(self._scale) + bags.side.new_tensor(self._shift)
        return torch.cat([bags.weights, side], dim=1) if self.elements else side

    @property
    def _shift(self) -> Sequence[float]:
        return self.side_scale[0] if self.side_scale else ()

    @property
    def _scale(self) -> Sequence[float]:
        return self.side_scale[1] if self.side_scale else ()

    def _tokens(self, weights: Tensor) -> Tensor:
        n, k = weights.shape
        if not self.elements:
            return weights.unsqueeze(-1)
        fixed = torch.cat([descriptors(self.elements), torch.eye(k, dtype=torch.float64)], dim=1).to(weights)
        logarithm = torch.log1p(100 * weights) / math.log(101)
        encodings = torch.stack([weights, smooth_sqrt(weights), logarithm], dim=-1)
        return torch.cat([fixed.expand(n, -1, -1), encodings], dim=-1)
