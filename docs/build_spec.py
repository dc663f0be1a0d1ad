"""Write `docs/spec.md` from the JSON Schema, so that the page cannot say anything else than the code."""

from __future__ import annotations

import ast
import inspect
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

from campaign.model_spec import RecipeModel
from campaign.spec import json_schema
from surrogates.recipes import recipe_from

PAGE = Path(__file__).with_name("spec.md")
ORDER = (
    ("The spec", None),
    ("space: composition_grid", "CompositionGrid"),
    ("a limit in `bounds`", "Bound"),
    ("space: composition_simplex", "CompositionSimplex"),
    ("space: candidate_table", "CandidateTable"),
    ("columns: fraction", "FractionColumn"),
    ("columns: number", "NumberColumn"),
    ("columns: category", "CategoryColumn"),
    ("space: doped_slab", "DopedSlab"),
    ("doped_slab host: coooh", "CoOOHHost"),
    ("doped_slab host: fcc111, fcc100", "MetalHost"),
    ("adsorbate of a metal host", "Adsorbate"),
    ("doped_slab host: a file", "StructureHost"),
    ("slab of a host from a file", "Slab"),
    ("doped_slab sites", "Sites"),
    ("doped_slab count and distinct_elements", "Range"),
    ("space: structure_files", "StructureFiles"),
    ("space: process", "Process"),
    ("a variable of a process, a parameter of a step", "Setting"),
    ("space: process_sequence", "ProcessSequence"),
    ("process_sequence length", "Steps"),
    ("space: product", "Product"),
    ("product part: composition_grid", "GridPart"),
    ("product part: candidate_table", "TablePart"),
    ("product part: process", "ProcessPart"),
    ("product part: process_sequence", "SequencePart"),
    ("objectives", "Objective"),
    ("outcome_constraints", "OutcomeConstraint"),
    ("labels", "Labels"),
    ("labels.computed", "ComputedLabels"),
    ("history", "EarlierData"),
    ("filters: excluded_elements", "ExcludedElements"),
    ("filters: charge_balance", "ChargeBalance"),
    ("filters: ionic_radius_mismatch", "IonicRadiusMismatch"),
    ("filters: precursor_available", "PrecursorAvailable"),
    ("filters: formation_energy_proxy", "FormationEnergyProxy"),
    ("batch", "BatchSpec"),
    ("batch.controls", "Control"),
    ("budget", "Budget"),
    ("stop", "Stop"),
    ("cost", "Costs"),
    ("cost.precursors", "Price"),
    ("synthesis", "Synthesis"),
    ("synthesis.balance", "Balance"),
    ("synthesis.pipette", "Pipette"),
    ("encoder: chgnet", "CHGNetEncoder"),
    ("encoder: uma", "UMAEncoder"),
    ("model: auto", "AutoModel"),
    ("model: a recipe", "RecipeModel"),
    ("acquisition: portfolio", "Portfolio"),
    ("acquisition: qLogNEI", "QLogNEI"),
    ("acquisition: qLogEI", "QLogEI"),
    ("acquisition: KG", "KG"),
    ("acquisition: UCB", "UCB"),
    ("acquisition: Thompson", "Thompson"),
    ("acquisition: greedy", "Greedy"),
    ("acquisition: max_variance", "MaxVariance"),
    ("feasibility: learned", "LearnedFeasibility"),
    ("feasibility: none", "NoFeasibility"),
    ("explain: element_direction", "ElementDirection"),
    ("explain: site_reversion", "SiteReversion"),
    ("explain: none", "NoExplanation"),
    ("intervals", "Intervals"),
)

PARTS = {
    "GridPart": "CompositionGrid",
    "TablePart": "CandidateTable",
    "ProcessPart": "Process",
    "SequencePart": "ProcessSequence",
}
"""Part of a product -> the space whose keys it has, which are not listed again."""


def page() -> str:
    """The reference, as Markdown.

    Raises:
        ValueError: a part of the grammar is in no section.
    """
    schema = json_schema()
    if missing := set(schema["$defs"]) - {name for _, name in ORDER if name}:
        raise ValueError(f"name a section for {', '.join(sorted(missing))}")
    lines = [
        "# The spec",
        "",
        "Made by `python docs/build_spec.py` from the JSON Schema (`siteloop schema`). A choice is written as",
        "`{type: UCB, beta: 2}` or by its bare name, `UCB`. Keys in bold are required.",
        "",
    ]
    for title, name in ORDER:
        part: dict[str, Any] = schema["$defs"][name] if name else schema
        lines += [f"## {title}", "", part["description"], ""]
        same = schema["$defs"][PARTS[name]]["properties"] if name in PARTS else {}
        keys = {k: v for k, v in part["properties"].items() if not _is_tag(k, v) and k not in same}
        if keys:
            lines += ["| key | meaning |", "| --- | --- |"]
        for key, field in keys.items():
            shown = f"**`{key}`**" if key in part.get("required", ()) else f"`{key}`"
            meaning = " ".join(field.get("description", "").split()).replace("|", r"\|")
            lines.append(f"| {shown} | {meaning} |")
        lines += [""] if keys else []
        if name == "RecipeModel":
            lines += settings()
    return "\n".join(lines).rstrip() + "\n"


def _is_tag(key: str, field: dict[str, Any]) -> bool:
    """Whether a key only names the choice that its section is about."""
    return key in ("type", "rule") and ("const" in field or "description" not in field)


def settings() -> list[str]:
    """A table of the settings of each recipe, and of those that several share, without those of their base."""
    recipes = [type(recipe_from(tag)) for tag in get_args(RecipeModel.model_fields["type"].annotation)]
    users: dict[type, list[str]] = {}
    for recipe in recipes:
        for kind in recipe.__mro__:
            if declared(kind):
                users.setdefault(kind, []).append(recipe.type)
    lines = []
    for kind, tags in sorted(users.items(), key=lambda item: -len(item[1])):
        lines += [
            f"### model: settings of {', '.join(tags)}",
            "",
            "| setting | default | meaning |",
            "| --- | --- | --- |",
        ]
        lines += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in declared(kind)]
        lines.append("")
    return lines


def declared(kind: type) -> list[tuple[str, str, str]]:
    """Name, default and docstring of each field that a class itself declares."""
    if not is_dataclass(kind):
        return []
    (body,) = ast.parse(dedent(inspect.getsource(kind))).body
    found = []
    for node, after in pairwise(body.body):
        setting = isinstance(node, ast.AnnAssign) and node.value and "ClassVar" not in ast.unparse(node.annotation)
        if setting and isinstance(after, ast.Expr):
            meaning = " ".join(ast.literal_eval(after.value).split())
            found.append((node.target.id, str(getattr(kind, node.target.id)), meaning))
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
