"""Why a surrogate predicts what it predicts: attributions to instances, how good they are, and when to show them.

Everything here says what moves the model's prediction, never what causes the property.
"""

from surrogates.explain.attributions import METHODS, Attribution, Explainable, attribute, reference_instance
from surrogates.explain.gates import Check, Skill, Verdict, judge, skill
from surrogates.explain.measures import (
    agreement,
    aopc,
    concentration,
    interval_over_seeds,
    perturbation_curve,
    random_curves,
    top_hit,
    top_recall,
)

__all__ = [
    "METHODS",
    "Attribution",
    "Check",
    "Explainable",
    "Skill",
    "Verdict",
    "agreement",
    "aopc",
    "attribute",
    "concentration",
    "interval_over_seeds",
    "judge",
    "perturbation_curve",
    "random_curves",
    "reference_instance",
    "skill",
    "top_hit",
    "top_recall",
]
