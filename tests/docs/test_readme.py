"""The README and the reference are executed, so that they cannot say what is not so."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.app import run

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        caption = re.search(r"`([\w.]+)`:\n\n$", text[: match.start()])
        yield caption[1] if caption else match[1], match[2]


def test_the_readme_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SITELOOP_DB", raising=False)
    commands = 0
    for kind, text in blocks("README.md"):
        if kind.endswith((".yaml", ".csv")):
            Path(kind).write_text(text, encoding="utf-8")
        elif kind == "python":
            exec(compile(text, "README.md", "exec"), {})
        elif kind == "console" and text.startswith("$"):
            for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, shown = step.partition("\n")
                capsys.readouterr()
                assert run(shlex.split(command)[1:]) == 0, command
                said = capsys.readouterr().out
                assert all(line in said for line in shown.strip().splitlines()), (command, said)
                commands += 1
    assert commands >= 7


def test_the_page_on_surrogates_runs_as_written(capsys):
    names = {}
    for kind, text in blocks("docs/surrogates.md"):
        assert kind == "python"
        exec(compile(text, "surrogates.md", "exec"), names)
    assert "5-fold cross" in capsys.readouterr().out


def test_the_page_on_surrogates_names_every_recipe():
    from surrogates.recipes import RECIPES

    text = (ROOT / "docs/surrogates.md").read_text(encoding="utf-8")
    assert all(f"`{tag}`" in text for tag in RECIPES)


def test_the_demo_is_what_the_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    assert "examples/oer_plate/demo.py" in makefile
    assert all(f"\n{target}:" in makefile for target in ("demo", "test", "lint", "bench"))


def test_the_reference_is_up_to_date():
    spec = importlib.util.spec_from_file_location("build_spec", ROOT / "docs" / "build_spec.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "spec.md").read_text(encoding="utf-8") == module.page(), "run python docs/build_spec.py"


@pytest.mark.parametrize("page", ["README.md", "docs/how-it-works.md", "docs/surrogates.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
