"""Pictures of slabs: what they show, that nothing a user wrote runs, and that equal input gives equal bytes."""

import html
import json
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from campaign import views
from campaign.leaders import crossed, led
from campaign.pictures import DPI, WIDTH, picture_html, picture_png
from campaign.scene import NAMED, Look, scene

EFFECTS = {
    "Ti@M1": (-28.4, 9.1, True),
    "Zn@M6": (17.2, 6.3, True),
    "Co@M4": (2.0, 7.7, True),
    "Co@M5": (91.0, 1.0, False),
}


def slab(labels=None, turn=0.0):
    """A 3x3 oxide sheet of nine metals, each under an O, with Ti and Zn in place of two Co."""
    cell = Lattice.from_parameters(8.55, 8.55, 20, 90, 90, 120)
    metals = ["Ti", "Co", "Co", "Co", "Co", "Zn", "Co", "Co", "Co"]
    plane = [(i / 3 + turn, j / 3) for i in range(3) for j in range(3)]
    places = [(x, y, 0.98) for x, y in plane] + [(x + 1 / 9, y + 2 / 9, 0.03) for x, y in plane]
    made = Structure(cell, [*metals, *["O"] * 9], places)
    names = [f"{m}@M{i + 1}" for i, m in enumerate(metals)] + [f"O{i + 1}" for i in range(9)]
    made.add_site_property("label", [(labels or {}).get(name, name) for name in names])
    made.add_site_property("dopant", [m in ("Ti", "Zn") for m in metals] + [False] * 9)
    made.add_site_property("sublattice", [True] * 9 + [False] * 9)
    made.add_site_property("surface", [False] * 9 + [True] * 9)
    made.add_site_property("adsorbate", [False] * 18)
    made.add_site_property("layer", [0] * 18)
    return made


def traces(piece):
    start = piece.index("[", piece.index("Plotly.newPlot("))
    return json.JSONDecoder().raw_decode(piece[start:])[0]


def test_png_is_deterministic_and_as_wide_as_said():
    first = picture_png(slab(), EFFECTS, unit="mV", title="Recommendation 3")
    assert first == picture_png(slab(), EFFECTS, unit="mV", title="Recommendation 3")
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", first[16:24])
    assert width == round(WIDTH * DPI)
    assert 600 < height < 2400
    assert b"Software" not in first
    assert first != picture_png(slab(), EFFECTS | {"Zn@M6": (-17.2, 6.3, True)}, unit="mV", title="Recommendation 3")


@pytest.mark.parametrize(
    "effects", [{}, {"O1": (0.0, 0.0, True)}, {"Ti@M1": (float("nan"), float("nan"), False)}, {"Ti@M1": (1, 0, True)}]
)
def test_drawn_whatever_the_effects(effects):
    assert picture_png(slab(), effects, unit="", title="")
    assert picture_html(slab(), effects, unit="", name="x")


def test_text_that_looks_like_mathematics_is_drawn_as_it_is():
    label = "Ti@$M_{"
    assert picture_png(slab({"Ti@M1": label}), {label: (3.0, 1.0, True)}, unit="$mV_{", title="$\\frac{")


def test_an_angstrom_is_as_long_in_x_as_in_y():
    from matplotlib.figure import Figure

    from campaign.pictures import _panel

    panel = _panel(Figure(figsize=(7, 5)), (0.0, 1.0, 6.0, 2.5), np.array([3.0, 4.0]), 0.3)
    box = panel.get_position().size * (7, 5)
    assert box / [np.ptp(panel.get_xlim()), np.ptp(panel.get_ylim())] == pytest.approx([0.3, 0.3])


def test_html_names_the_sites_and_their_effects_but_not_what_is_withheld():
    piece = picture_html(slab(), EFFECTS, unit="mV", name="r3")
    words = [text for trace in traces(piece) for text in trace.get("hovertext", [])]
    assert any("<b>Ti@M1</b>" in w and "Ti, dopant" in w and "-28 ± 9 mV" in w for w in words)
    assert any("<b>Co@M5</b>" in w and "withheld" in w for w in words)
    assert "91" not in "".join(words)
    shown = {trace.get("name") for trace in traces(piece)}
    assert {look.value for look in (Look.EFFECT, Look.UNCLEAR, Look.WITHHELD)} <= shown
    coloured = next(t for t in traces(piece) if t.get("name") == Look.EFFECT.value)
    assert coloured["marker"]["cmin"] == -coloured["marker"]["cmax"] == -28.4
    assert coloured["marker"]["colorbar"]["title"]["text"] == "change of the prediction (mV)"


def test_html_needs_no_network_and_brings_no_javascript_library():
    piece = picture_html(slab(), EFFECTS, unit="mV", name="r3")
    assert not re.search(r"https?:|//[a-z]|src=", piece)
    assert len(piece) < 60_000


def test_nothing_a_user_wrote_runs():
    evil = '<script>alert("x")</script>'
    label, unit = f"Ti{evil}", f"mV{evil}"
    piece = picture_html(slab({"Ti@M1": label}), {label: (3.0, 1.0, True)}, unit=unit, name=f'a"{evil}')
    assert "<script>alert" not in piece
    assert piece.count("<script") == 1
    texts = json.dumps(traces(piece))
    assert "<script" not in texts
    assert html.escape(label) in "".join(text for t in traces(piece) for text in t.get("hovertext", []))


def test_names_of_pieces_stay_apart():
    ids = {
        re.search(r'id="([^"]*)"', picture_html(slab(), {}, unit="", name=n))[1] for n in ("a b", "a/b", "a-b", "a_b")
    }
    assert len(ids) == 4
    assert all(re.fullmatch("[A-Za-z0-9_-]+", i) for i in ids)


@pytest.mark.parametrize("name", ["label", "dopant", "sublattice", "surface", "adsorbate", "layer"])
@pytest.mark.parametrize("draw", [picture_html, picture_png])
def test_a_missing_property_is_named(draw, name):
    bare = slab()
    bare.remove_site_property(name)
    extra = {"name": "x"} if draw is picture_html else {"title": "x"}
    with pytest.raises(ValueError, match=rf"Site 0 of the structure lacks {name}\. .*add_site_property"):
        draw(bare, {}, unit="mV", **extra)


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"Ti@M99": (1.0, 1.0, True)}, "'Ti@M99' belongs to no site"),
        ({"Ti@M1": (float("nan"), 1.0, True)}, "'Ti@M1' is nan"),
        ({"Ti@M1": (1.0, -1.0, True)}, "expected finite numbers and an sd >= 0"),
    ],
)
def test_effects_that_cannot_be_drawn(effects, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        scene(slab(), effects, unit="mV")


def test_repeated_labels_empty_and_disordered_structures_are_refused():
    with pytest.raises(ValueError, match="'Zn@M6' names 2"):
        scene(slab({"Ti@M1": "Zn@M6"}), {}, unit="mV")
    with pytest.raises(ValueError, match="no sites"):
        scene(Structure(Lattice.cubic(3), [], []), {}, unit="mV")
    mixed = slab()
    mixed.replace_species({"O": {"O": 0.5, "S": 0.5}})
    with pytest.raises(ValueError, match="disordered"):
        scene(mixed, {}, unit="mV")


def test_a_slab_across_the_boundary_of_c_stays_whole_and_its_images_are_neighbours():
    shot = scene(slab(), EFFECTS, unit="mV")
    heights = [a.position[2] for a in shot.atoms]
    assert np.ptp(heights) == pytest.approx(1.0, abs=1e-3)
    assert min(a.position[2] for a in shot.atoms if a.element == "O") > max(
        a.position[2] for a in shot.atoms if a.element != "O"
    )
    near = [min(np.linalg.norm(i.position - a.position) for a in shot.atoms) for i in shot.images]
    assert shot.images
    assert max(near) < 3.5
    assert {a.label for a in shot.images} <= {a.label for a in shot.atoms}


def test_how_effects_look():
    shot = scene(slab(), EFFECTS, unit="mV")
    look = {a.label: a.look for a in shot.atoms}
    assert [look[name] for name in ("Ti@M1", "Co@M4", "Co@M5", "O1")] == [
        Look.EFFECT,
        Look.UNCLEAR,
        Look.WITHHELD,
        Look.PLAIN,
    ]
    blue, orange = (views.style_of(next(a for a in shot.atoms if a.label == n), 28.4) for n in ("Ti@M1", "Zn@M6"))
    assert blue["facecolor"][2] > blue["facecolor"][0]
    assert orange["facecolor"][0] > orange["facecolor"][2]
    everywhere = scene(slab(), {f"O{i}": (float(i), 0.1, True) for i in range(1, 10)}, unit="mV")
    assert [a.label for a in everywhere.named] == ["Ti@M1", "Zn@M6", "O9", "O8", "O7", "O6", "O5", "O4"]
    assert len(everywhere.named) == NAMED
    assert everywhere.unnamed == 3


@given(st.lists(st.floats(0, 10), min_size=1, max_size=8), st.floats(0.1, 1.25))
def test_names_beside_a_view_never_overlap_and_stay_inside(wanted, step):
    places = views._slots(np.array(wanted), step, 0.0, 10.0)
    assert (np.diff(places) >= step - 1e-9).all()
    assert places[0] >= step / 2 - 1e-9
    assert places[-1] <= 10 - step / 2 + 1e-9


def test_a_line_runs_over_no_other_named_disc_where_there_is_room():
    centres = np.array([[2.0, 0.0], [4.0, 0.0], [6.0, 0.0]])
    radii = np.full(3, 0.6)
    narrow, wide = (np.array([[0.0, y] for y in heights]) for heights in ((-0.3, 0.3), (-0.3, 2.5)))
    kept = led(centres, radii, [0, 1], [narrow, wide])
    assert kept.tolist() == [[0.0, -0.3], [0.0, 2.5]]
    lines = list(zip(centres[[0, 1]], led(centres, radii, [0, 1], [narrow]), strict=True))
    assert not crossed(*lines[0], *lines[1])  # where there is none, lines at least do not cross


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(0, 9)), min_size=2, max_size=6, unique=True))
def test_every_name_has_a_place_of_its_own(sites):
    centres, group = np.array(sites), list(range(len(sites)))
    places = np.array([[0.0, 1.5 * i] for i in group])
    found = led(centres, np.full(len(sites), 0.1), group, [places])
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, places.tolist()))


def test_drawing_libraries_are_loaded_only_to_draw():
    code = (
        "import sys, campaign.pictures; sys.exit(bool({'matplotlib', 'plotly', 'pymatgen', 'ase'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
