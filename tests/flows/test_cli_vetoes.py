from __future__ import annotations

from pathlib import Path

from plate_files import PLATE


def test_a_batch_is_proposed_anew_and_a_veto_is_shown_until_lifted(siteloop):
    Path("plate.yaml").write_text(PLATE)
    assert siteloop("start", "plate.yaml").code == 0
    assert siteloop("recommend", "oer-plate", "-n", "4").code == 0
    said = siteloop("recommend", "oer-plate", "--pin", "b1-02", "--veto", "b1-01", "--reason", "no ink", "--json")
    assert [r["pinned"] for r in said.json["recommendations"]] == ["b1-02", None, None, None]
    assert "(no ink)" in siteloop("status", "oer-plate").out
    assert "1 vetoed" in siteloop("status", "oer-plate").out
    assert siteloop("veto", "oer-plate", "b1-01", "--lift").code == 0
    assert siteloop("status", "oer-plate", "--json").json["vetoes"] == []
    assert siteloop("veto", "oer-plate", "b1-01").code == 3
    assert siteloop("veto", "oer-plate", "b2-03", "--reason", "toxic").code == 0
    assert "3 pending" in siteloop("status", "oer-plate").out
