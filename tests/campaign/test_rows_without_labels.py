"""Rows without labels are samples of their own, whichever sheet or reading of a file they come from."""

import io

from openpyxl import Workbook
from small_campaign import ELEMENTS


def test_equal_row_numbers_on_two_sheets_are_two_samples(start):
    campaign = start(n=0)
    book = Workbook()
    for sheet, design, loss in ((book.active, (0.5, 0.5, 0, 0), 310), (book.create_sheet(), (0, 0.5, 0.5, 0), 290)):
        sheet.append([*ELEMENTS, "loss (mV)"])
        sheet.append([*design, loss])
    file = io.BytesIO()
    book.save(file)
    for name in book.sheetnames:
        assert campaign.ingest(file.getvalue(), name="two.xlsx", sheet=name, commit=True).ok
    designs = {s.id: s.design for s in campaign.state.samples}
    assert len({s.label for s in campaign.state.samples}) == 2
    found = {m.value: designs[m.sample] for m in campaign.state.measurements}
    assert found == {310: {"Ni": 0.5, "Fe": 0.5}, 290: {"Fe": 0.5, "Co": 0.5}}
