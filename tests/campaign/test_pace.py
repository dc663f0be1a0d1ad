"""The time that is left is told from the pace of what had to be done, or not at all."""

from __future__ import annotations

from campaign.pace import Pace
from flows.cli.common import stages


def test_a_pace_is_that_of_new_work_and_absent_until_it_is_known():
    now = [0.0]
    pace = Pace(lambda: now[0])

    def more(at: float, new: int, rest: int) -> str:
        now[0] = at
        return pace.more(new, rest)

    assert more(1, 0, 1000) == ""  # found in a cache, at no cost
    assert more(30, 8, 992) == ""  # processes took half a minute to start
    assert more(30.1, 16, 984) == ""  # the second of two workers
    assert more(34, 48, 952) == ", about 95 s more"  # 40 in 4 s
    assert more(34.5, 48, 0) == ""


def test_lines_of_progress_promise_nothing(capsys):
    with stages(100.0) as stage:
        stage("fit loss")
    assert capsys.readouterr().err == "fit loss ... (0 s so far)\n"
