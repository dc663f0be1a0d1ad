"""What is hashed never changes: the texts and hashes below were written down once."""

import math
from dataclasses import replace

import pytest
from db_examples import BATCH, MEASUREMENT, RECOMMENDATION, SAMPLE, SOURCE, SPEC
from hypothesis import given
from hypothesis import strategies as st

from db import chain, tables
from db.records import Event
from db.rows import TABLES, encode
from db.triggers import LEDGER

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_canonical_json_is_this_text():
    value = {"b": [1, 1.0, 0.1, 1e22, -0.0, True, None], "a": {"ö": "„x“\n\u2028"}, "": ()}
    assert chain.canonical(value) == '{"":[],"a":{"ö":"„x“\\n\u2028"},"b":[1,1.0,0.1,1e+22,-0.0,true,null]}'


@given(st.dictionaries(st.text(), json_values))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    assert chain.canonical(value) == chain.canonical(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": math.nan}]}, r"\$\.a\[1\]\.b is nan"),
        ({"a": -math.inf}, r"\$\.a is -inf"),
        ({"a": {2: 1}}, r"\$\.a has the key 2"),
        ({"a": {1, 2}}, r"\$\.a is of type set"),
        ({"a": "\ud800"}, "surrogates not allowed"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value, message):
    with pytest.raises((TypeError, ValueError), match=message):
        chain.canonical(value)


def test_the_hashes_of_version_1_stay_what_they_are():
    place = {"seq": 3, "position": 0}
    found = {
        record.__class__.__name__: chain.row_hash(TABLES[type(record)].name, encode(record) | place, 1)[:16]
        for record in (SOURCE, SPEC, BATCH, RECOMMENDATION, SAMPLE, MEASUREMENT)
    }
    event = Event("oer-plate", 1, "start", {"n": 1, "rows": {}}, "ada", "2026-03-01T10:00:00.000000+00:00", "00", "")
    found["Event"] = chain.event_hash(encode(event))[:16]
    found["genesis"] = chain.genesis("oer-plate")[:16]
    assert found == {
        "Source": "6018c44b6da896f2",
        "SpecRevision": "a1b266bfecc182bc",
        "Batch": "cdf0dc13df0141ae",
        "Recommendation": "1d32255415d0c7bf",
        "Sample": "11909eaf1368aa33",
        "Measurement": "cb03ba82f30d18a8",
        "Event": "7d7fa6ce81774948",
        "genesis": "796b0276f39a4ba3",
    }


def test_every_field_is_hashed():
    """A column added later belongs to a new hash version; until then this must hold."""
    for name in LEDGER:
        columns = set(tables.metadata.tables[name].c.keys()) - {"hash", "hash_version"}
        assert set(chain.FIELDS[chain.HASH_VERSION][name]) == columns


def test_the_hash_version_is_part_of_the_hash(monkeypatch):
    row = encode(SAMPLE) | {"seq": 1, "position": 0}
    monkeypatch.setattr(chain, "FIELDS", chain.FIELDS | {2: chain.FIELDS[1]})
    assert chain.row_hash("sample", row, 1) != chain.row_hash("sample", row, 2)


def test_two_campaigns_never_share_a_first_link():
    assert chain.genesis("a") != chain.genesis("b")


def test_bytes_enter_by_their_own_hash():
    rows = [encode(source) for source in (SOURCE, replace(SOURCE, content=b"other"))]
    assert len({chain.row_hash("source", row, 1) for row in rows}) == 2
