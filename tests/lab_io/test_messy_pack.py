"""Every table of the messy pack gets the status, the address and the word that it should."""

import pytest
from messy_pack import ELEMENTS, METRIC, PACK, UNIT, Case

from db.errors import InvalidInput
from lab_io.findings import Status, worst
from lab_io.results import Expectation, Metric, check_results
from lab_io.tables import read_table

EXPECT = Expectation(elements=ELEMENTS, metrics=(Metric(METRIC, UNIT),))


@pytest.mark.parametrize("case", PACK, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    try:
        check = check_results(read_table(case.content, case.filename), EXPECT)
        status = str(worst(row.status for row in check.rows))
        problems = check.problems
        assert check.ok == (status not in (Status.QUESTION, Status.REJECTED))
    except InvalidInput as error:
        status, problems = "refused", error.problems
    assert status == case.expect.status, problems
    assert bool(problems) == (status not in ("accepted", "skipped", "pending"))
    if case.expect.word:
        said = [p for p in problems if case.expect.word in f"{p.what} {p.fix}"]
        assert said, problems
        assert any(p.where.endswith(case.expect.where) for p in said), problems
    for problem in problems:
        assert problem.where.startswith(case.filename)
        assert problem.what
        assert problem.fix
        assert len(str(problem)) < 400


def test_pack_is_large_and_named_once() -> None:
    assert len(PACK) >= 40
    assert len({case.name for case in PACK}) == len(PACK)
