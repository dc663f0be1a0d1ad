"""Curves come out of each vendor's text as they went in; what is wrong with a file is said with its line and column."""

import sys

import numpy as np
import pytest
from curve_files import ENDINGS, WRITERS
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import InvalidInput, Problem
from lab_io.curves import Picks, as_text, read_curve
from lab_io.curves.headings import heading

E = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
CURRENT = np.array([1e-6, 2e-6, 5e-5, 1e-4, 2e-3, 1e-2])


def csv(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def refused(content: bytes, picks: Picks | None = None, name: str = "x.csv") -> list[str]:
    with pytest.raises(InvalidInput) as error:
        read_curve(content, name, picks)
    return [str(p) for p in error.value.problems]


@pytest.mark.parametrize("maker", WRITERS)
@pytest.mark.parametrize("comma", [False, True])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_curve_survives_its_file(maker: str, comma: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    potential = np.round(np.sort(rng.uniform(-1.5, 1.5, rng.integers(5, 40))), 8)
    current = rng.choice([-1, 1], len(potential)) * 10 ** rng.uniform(-8, 0, len(potential))
    found = read_curve(WRITERS[maker](potential, current, comma), f"x.{ENDINGS[maker]}")
    assert found.format == maker
    sign = -1 if maker == "CHI" else 1
    np.testing.assert_allclose(found.potential, potential, atol=2e-9)
    np.testing.assert_allclose(sign * found.current, current, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "name", "unit", "against"),
    [
        ("Ewe/V", "ewe", "V", ""),
        ("<I>/mA", "<i>", "mA", ""),
        ("WE(1).Current (A)", "we(1).current", "A", ""),
        ("E vs. Ag/AgCl (V)", "e", "V", "Ag/AgCl"),
        ("E (V vs RHE)", "e", "V", "RHE"),
        ("E / V vs. SCE", "e", "V", "SCE"),
        ("E vs Hg/HgO / mV", "e", "mV", "Hg/HgO"),
        ("E_RHE (V)", "e", "V", "RHE"),
        ("j (mA cm⁻²)", "j", "mA cm-²", ""),
        ("Potential", "potential", "", ""),
        ("Vf (V vs. Ref.)", "vf", "V", "Ref."),
    ],
)
def test_headings(text: str, name: str, unit: str, against: str) -> None:
    found = heading(text)
    assert (found.name, found.unit, found.against) == (name, unit, against)


def test_a_density_is_told_from_a_current() -> None:
    rows = [f"{e},{j}" for e, j in zip(E, 1e3 * CURRENT, strict=True)]
    area = read_curve(csv("E (V),j (mA/cm2)", *rows), "x.csv")
    assert area.per == "area"
    np.testing.assert_allclose(area.current, CURRENT)
    assert read_curve(csv("E (V),j (A/g)", *rows), "x.csv").per == "mass"


def test_utf16_and_blanks_between_columns() -> None:
    rows = [f"{e} {i}" for e, i in zip(E, CURRENT, strict=True)]
    assert len(read_curve("\n".join(["E/V I/A", *rows]).encode("utf-16"), "x.txt")) == 6


def test_the_last_cycle_is_read_unless_another_is_asked_for() -> None:
    rows = [f"{e},{i},{c}" for c in (1, 2, 3) for e, i in zip(E, c * CURRENT, strict=True)]
    content = csv("E (V),I (A),cycle number", *rows)
    last = read_curve(content, "x.csv")
    assert (last.cycle, last.cycles) == (3, (1, 2, 3))
    np.testing.assert_allclose(last.current, 3 * CURRENT)
    np.testing.assert_allclose(read_curve(content, "x.csv", Picks(cycle=1)).current, CURRENT)
    begun = csv("E (V),I (A),cycle number", *rows, "0.1,1e-6,4", "0.2,1e-6,4")
    assert read_curve(begun, "x.csv").cycle == 3
    assert "there is no cycle 7" in refused(content, Picks(cycle=7))[0]


def test_gamry_cycles_and_overloads() -> None:
    table = ["\tPt\tVf\tIm\tOver", "\t#\tV vs. Ref.\tA\tbits"]
    rows = [f"\t{k}\t{e}\t{i}\t..........." for k, (e, i) in enumerate(zip(E, CURRENT, strict=True))]
    marked = [*rows[:-1], rows[-1].replace("...........", "..i........")]
    text = csv("EXPLAIN", "TAG\tCV", "CURVE1\tTABLE\t6", *table, *rows, "CURVE2\tTABLE\t6", *table, *marked)
    found = read_curve(text, "x.DTA")
    assert (found.cycle, len(found), len(found.left_out)) == (2, 5, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02" * 50, "not text"),
        (csv("name,remark", "a,b", "c,d"), "no column of potentials"),
        (csv("E (V),I (A)", "0.1,1e-3", "0.2,2e-3"), "2 points"),
        (csv("EXPLAIN", "TAG\tEIS", "ZCURVE\tTABLE\t1", "\tPt", "\t#", "\t1"), "no table named CURVE"),
        (csv("EC-Lab ASCII FILE", "Ewe/V\tI/mA", "1\t2"), "Nb header lines"),
        (csv("EC-Lab ASCII FILE", "Nb header lines : 900", "", "Ewe/V\tI/mA", "1\t2"), "from 3 to 4"),
        (csv("Mar. 1, 2026", "Instrument Model:  CHI760E", "Freq/Hz, Z/ohm", "1, 2"), "Potential/V"),
        (b"E (V),I (A)\n" + b"1" * 30_000 + b",2\n", "characters"),
    ],
)
def test_files_that_are_no_curves(content: bytes, words: str) -> None:
    assert any(words in said for said in refused(content))


def test_every_bad_cell_is_named_with_line_and_column() -> None:
    rows = [f"{e};{i}" for e, i in zip(E, CURRENT, strict=True)]
    said = refused(csv("E (V);I (A)", *rows, "0.7;nan", "abc;1e-3", "0.9", "0.9;1e999", "1_0;1"))
    assert [s.split(": ")[0] for s in said] == [
        "x.csv, line 8, column 'I (A)'",
        "x.csv, line 9, column 'E (V)'",
        "x.csv, line 10",
        "x.csv, line 11, column 'I (A)'",
        "x.csv, line 12, column 'E (V)'",
    ]


def test_many_bad_cells_are_counted() -> None:
    rows = [f"{e},{i}" for e, i in zip(E, CURRENT, strict=True)]
    said = refused(csv("E (V),I (A)", *rows, *["x,1"] * 500))
    assert len(said) == 21
    assert "480 more" in said[-1]


def test_impossible_potentials_and_currents_are_refused() -> None:
    rows = [f"{1e3 * e},{1e9 * i}" for e, i in zip(E, CURRENT, strict=True)]
    said = refused(csv("E (V),I (A)", *rows))
    assert ["V" in s or "A" in s for s in said] == [True, True]
    assert "check the unit" in said[0]


def test_mixed_decimal_signs_are_refused() -> None:
    rows = [f"{e};{i}" for e, i in zip(E, CURRENT, strict=True)]
    assert "mixed decimal signs" in refused(csv("E (V);I (A)", *rows, "0,7;1e-2"))[0]


def test_columns_that_could_be_several_or_none() -> None:
    rows = [f"{e},{e + 1},{i}" for e, i in zip(E, CURRENT, strict=True)]
    two = csv("E (V vs SCE),E (V vs RHE),I (A)", *rows)
    assert "could be 'E (V vs SCE)' and 'E (V vs RHE)'" in refused(two)[0]
    assert read_curve(two, "x.csv", Picks(potential="E (V vs RHE)")).against == "RHE"
    assert "did you mean" in refused(two, Picks(potential="E (V vs RHEE)"))[0]
    bare = csv(*(f"{e},{i}" for e, i in zip(E, CURRENT, strict=True)))
    assert len(refused(bare)) == 2
    np.testing.assert_allclose(read_curve(bare, "x.csv", Picks(("E/mV", "I/A"))).potential, E / 1e3)
    assert "3 columns named" in refused(bare, Picks(("a", "b", "c")))[0]
    assert len(refused(csv("E,I", *(f"{e},{i}" for e, i in zip(E, CURRENT, strict=True))))) == 2  # no units
    assert "does not convert" in refused(csv("E (K),I (A)", *(f"{e},{i}" for e, i in zip(E, CURRENT, strict=True))))[0]


def test_damaged_files_are_read_or_refused_with_words() -> None:
    """1,000 files of five formats with bytes changed, lines cut, doubled or exchanged: no other error, ever."""
    rng = np.random.default_rng(5)
    junk = [
        b"",
        b"nan",
        b"1e999",
        b"\t",
        b";",
        b",",
        b"\x00",
        b"\xff",
        "µ".encode(),
        b"-" * 300,
        b"9" * 400,
        b"CURVE\tTABLE",
    ]
    makers = list(WRITERS)
    wrong: list[Problem] = []
    read = 0
    for k in range(1000):
        maker = makers[k % len(makers)]
        lines = WRITERS[maker](E, CURRENT, bool(rng.integers(2))).split(b"\n")
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(lines)))
            words = lines[at].split(b"\t" if maker in ("BioLogic", "Gamry") else b";")
            words[int(rng.integers(len(words)))] = junk[int(rng.integers(len(junk)))]
            action = rng.integers(5)
            lines[at : at + 1] = [
                [b"\t".join(words)], [], [lines[at]] * 2, [lines[at][: int(rng.integers(0, 40))]], [lines[at - 1]],
            ][action]  # fmt: skip
            lines = lines or [b""]
        content = b"\n".join(lines)
        try:
            found = read_curve(content[: int(rng.integers(1, len(content) + 2))] if k % 7 == 0 else content, "x")
        except InvalidInput as error:
            wrong += error.problems
            continue
        read += 1
        assert np.isfinite(found.potential).all()
        assert np.isfinite(found.current).all()
    assert 0 < read < 700
    assert all(p.what and p.fix and p.where.startswith("x") for p in wrong)


def test_binary_files_go_through_a_command_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    content = b"BIO-LOGIC MODULAR FILE\x1a" + bytes(range(50))
    monkeypatch.delenv("SITELOOP_MPR", raising=False)
    with pytest.raises(InvalidInput, match="Export as Text"):
        as_text(content, "x.mpr")
    script = tmp_path / "convert.py"
    script.write_text(
        "import sys; open(sys.argv[1], 'rb').read(22); print('E/V,I/mA'); [print(f'{k}.0,{k}') for k in range(9)]"
    )
    monkeypatch.setenv("SITELOOP_MPR", f"{sys.executable} {script}")
    assert len(read_curve(as_text(content, "x.mpr"), "x.mpr")) == 9
    script.write_text("import sys; sys.exit('no such module')")
    with pytest.raises(InvalidInput, match="no such module"):
        as_text(content, "x.mpr")
    monkeypatch.setenv("SITELOOP_MPR", "/nowhere/mpr2csv")
    with pytest.raises(InvalidInput, match="cannot be run"):
        as_text(content, "x.mpr")
    assert as_text(b"E/V,I/A\n", "x.csv") == b"E/V,I/A\n"
