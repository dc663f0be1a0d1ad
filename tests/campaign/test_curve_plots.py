"""The report shows every curve that counts, once, and says which sweep was read."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from small_campaign import spec_of
from test_curves import OBJECTIVES, csv, handed

from campaign import Campaign
from campaign.curve_plots import POINTS, curve_plots

HOSTILE = '"><script>alert(1)</script>'


def both_ways() -> bytes:
    """A forward sweep and one back on which 8 mV more are needed."""
    rows = [line.split(",") for line in csv().decode().splitlines()[1:]]
    E, i = np.array(rows, dtype=float).T
    E, i = np.concatenate([E, E[::-1] + 0.008]), np.concatenate([i, i[::-1]])
    return b"E/V,I/mA\n" + "".join(f"{e:.6f},{a:.6f}\n" for e, a in zip(E, i, strict=True)).encode()


@pytest.fixture
def oer(tmp_path: Path) -> Campaign:
    path = tmp_path / "oer.yaml"
    path.write_text(yaml.safe_dump(spec_of(campaign="oer", objectives=OBJECTIVES[:2], model="gp")))
    campaign = Campaign.start(path, db=f"sqlite:///{tmp_path}/oer.db", by="tests")
    campaign.recommend(2)
    return campaign


def test_a_report_shows_curves_of_recommended_and_other_samples(oer, tmp_path) -> None:
    first = handed(both_ways(), sample="b1-01", name="b1-01.csv", design=None)
    oer.record_curves([first, handed(csv(0.25), sample=HOSTILE, name="own.csv")])
    page = oer.report(tmp_path / "r.html").read_text()
    assert [page.count(f'id="curve-{n}"') for n in range(3)] == [1, 1, 0]
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    batches, others = page.index("<h2>Batches"), page.index("<h2>Curves")
    assert batches < page.index('id="curve-0"') < others < page.index('id="curve-1"')
    assert "not used, nor averaged with it there: 23" in page
    assert "There is no reverse sweep." in page


def test_only_what_counts_is_drawn_small(oer) -> None:
    oer.record_curves([handed(both_ways(), sample="b1-01", name="b1-01.csv", design=None)])
    (shown,) = curve_plots(oer._store, oer.state).values()
    assert shown.text[0].startswith("Read on the forward sweep, free of 100 % of iR: 224.")
    assert len(shown.plot) < 60 * POINTS + 12_000
    reverse = handed(
        both_ways(), sample="b1-01", name="b.csv", design=None, sweep="reverse", correct="wave before onset"
    )
    oer.record_curves([reverse])
    (shown,) = curve_plots(oer._store, oer.state).values()
    assert "Read on the reverse sweep" in shown.text[0]
    assert "The forward sweep is not used" in shown.text[0]
    assert len(shown.text) == 1
    oer.void_measurement("b1-01/overpotential", reason="the electrode was not wetted")
    oer.void_measurement("b1-01/eta_100", reason="the electrode was not wetted")
    assert curve_plots(oer._store, oer.state) == {}
