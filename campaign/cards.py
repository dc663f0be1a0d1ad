"""A recommendation as a card: one plain JSON object, the same for the command line, the report and Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from campaign.formulas import formula
from campaign.sentences import interval_text, sentences
from campaign.spaces import Space, variables
from campaign.words import quantity
from db.records import Batch, Recommendation

if TYPE_CHECKING:
    import pandas as pd


def card(recommendation: Recommendation, space: Space) -> dict[str, Any]:
    """What a recommendation of a design of `space` says, in the words of the interface.

    `prediction` is that of the first objective, with median and intervals by level; `predictions` has all of them.
    `feasibility` has what is believed of the outcome constraints, `success` of making it, `front` which part of the
    front it is for, each None without; `filters` what each filter found.
    """
    r, why = recommendation, recommendation.rationale
    name = next(iter(r.prediction), None)
    prediction = {"objective": name, **r.prediction[name]} if name else None
    objectives = why.get("objectives", {})
    first = objectives.get(name, {})
    return {
        "rank": r.rank,
        "sample_id": r.label,
        "recommendation_id": r.id,
        "candidate": r.candidate,
        "composition": dict(r.design),
        "formula": formula(r.design, space),
        "stratum": r.stratum,
        "role": why.get("role"),
        "pinned": why.get("pinned"),
        "prediction": prediction,
        "predictions": dict(r.prediction),
        "incumbent": prediction and prediction["incumbent"],
        "probability_of_beating": prediction and prediction["probability_of_beating"],
        "acquisition_value": why.get("acquisition_value"),
        "cost": why.get("cost"),
        "feasibility": why.get("feasibility"),
        "front": why.get("front"),
        "success": why.get("success"),
        "filters": why.get("filters", []),
        "domain": why.get("domain"),
        "neighbours": why.get("neighbours", []),
        "element_effects": first.get("effects", []),
        "substitutions": first.get("substitutions", []),
        "attention": first.get("attention"),
        "objectives": dict(objectives),
        "warnings": why.get("warnings", []),
        "text": sentences(r),
    }


@dataclass(frozen=True)
class RecommendedBatch(Sequence[Recommendation]):
    """A ranked batch: a sequence of recommendations that shows itself as a table."""

    batch: Batch
    items: tuple[Recommendation, ...]
    space: Space
    """Of its designs."""
    notes: tuple[str, ...] = ()
    recorded: bool = True
    """False for a dry run: nothing is pending because of it."""
    repeated: bool = False
    """True if this batch was open already and nothing new was computed."""

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def to_json(self) -> dict[str, Any]:
        """The batch and its cards as plain JSON values."""
        b = self.batch
        return {
            "campaign": b.campaign,
            "batch": {
                "id": b.id,
                "number": b.number,
                "seed": b.seed,
                "snapshot": b.snapshot,
                "spec_revision": b.spec_revision,
                "code_version": b.code_version,
                "settings": dict(b.settings),
            },
            "recorded": self.recorded,
            "repeated": self.repeated,
            "notes": list(self.notes),
            "recommendations": [card(r, self.space) for r in self.items],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a recommendation: sample_id, design columns, median and interval ends by level."""
        import pandas as pd

        designs = [name for name in variables(self.space) if any(name in r.design for r in self.items)]
        rows = []
        for r in self.items:
            row: dict[str, Any] = {"rank": r.rank, "sample_id": r.label, "stratum": r.stratum}
            row |= {name: r.design.get(name, 0.0) for name in designs}
            for name, expected in r.prediction.items():
                row[f"{name} median"] = expected["median"]
                for level, interval in expected["intervals"].items():
                    row[f"{name} {level} lower"] = interval.get("lower")
                    row[f"{name} {level} upper"] = interval.get("upper")
                row[f"{name} P(better)"] = expected["probability_of_beating"]
            if feasible := r.rationale.get("feasibility"):
                row |= {f"{name} P(feasible)": c["probability"] for name, c in feasible["constraints"].items()}
                row["P(meets all constraints)"] = feasible["all"]
            if success := r.rationale.get("success"):
                row["P(made)"] = success["probability"]
            if cost := r.rationale.get("cost"):
                row[f"cost ({cost['unit']})"] = cost["value"]
            rows.append(row)
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False, float_format=lambda v: f"{v:.4g}")

    def __repr__(self) -> str:
        lines = [f"{self.batch.id}: {len(self)} recommendations"]
        for r in self.items:
            expected = [
                f"{name} {quantity(p['median'], p['unit'])} "
                f"({'; '.join(interval_text(i, None) for i in p['intervals'].values())})"
                for name, p in r.prediction.items()
            ]
            lines.append(f"  {r.label}  {formula(r.design, self.space)}  {', '.join(expected)}".rstrip())
        return "\n".join(lines)
