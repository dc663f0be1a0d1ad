"""Write `docs/spec.md` from the JSON Schema, so that the page cannot say anything else than the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from campaign.spec import json_schema

PAGE = Path(__file__).with_name("spec.md")
ORDER = (
    ("The spec", None),
    ("space: composition_grid", "CompositionGrid"),
    ("a limit in `bounds`", "Bound"),
    ("space: candidate_table", "CandidateTable"),
    ("columns: fraction", "FractionColumn"),
    ("columns: number", "NumberColumn"),
    ("columns: category", "CategoryColumn"),
    ("objectives", "Objective"),
    ("batch", "BatchSpec"),
    ("batch.controls", "Control"),
    ("budget", "Budget"),
    ("model: auto", "AutoModel"),
    ("model: a recipe", "RecipeModel"),
    ("acquisition: qLogNEI", "QLogNEI"),
    ("acquisition: qLogEI", "QLogEI"),
    ("acquisition: UCB", "UCB"),
    ("acquisition: Thompson", "Thompson"),
    ("acquisition: greedy", "Greedy"),
    ("acquisition: max_variance", "MaxVariance"),
    ("explain: element_direction", "ElementDirection"),
    ("explain: none", "NoExplanation"),
    ("intervals", "Intervals"),
)


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
        fields = {k: v for k, v in part["properties"].items() if k != "type"}
        if fields:
            lines += ["| key | meaning |", "| --- | --- |"]
        for key, field in fields.items():
            shown = f"**`{key}`**" if key in part.get("required", ()) else f"`{key}`"
            meaning = field.get("description", "").replace("|", r"\|")
            lines.append(f"| {shown} | {meaning} |")
        lines += [""] if fields else []
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
