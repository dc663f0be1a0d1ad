"""The round-trip law: whatever is recorded comes back equal, verifies, and is refused before anything is written."""

import hashlib
import itertools
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import InvalidInput
from db.records import (
    Batch,
    Candidate,
    Measurement,
    ModelVersion,
    Prediction,
    Recommendation,
    Sample,
    Source,
    SpecRevision,
)
from db.rows import encode
from db.store import Store

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
some_text = st.none() | texts
reals = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | reals | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(texts, values, max_size=3)
designs = st.dictionaries(texts, reals | texts, max_size=4)
fractions = st.dictionaries(texts, reals, max_size=4)
seeds = st.integers(-(2**63), 2**63 - 1)
numbers = itertools.count()


@st.composite
def events(draw):
    """One event's rows of a campaign of their own, with every kind of record, and caches beside them."""
    c = f"campaign {next(numbers)} {draw(texts)}"
    content = draw(st.binary(max_size=30)) + c.encode()
    source = Source(hashlib.sha256(content).hexdigest(), draw(texts), content)
    candidate = Candidate(f"{c}/candidate", draw(designs), draw(texts))
    spec = SpecRevision(f"{c}/spec", c, draw(st.integers(0, 2**62)), draw(bodies), draw(st.dictionaries(texts, texts)))
    batch = Batch(f"{c}/batch", c, draw(seeds), spec.revision, draw(texts), draw(texts), draw(seeds), draw(bodies))
    recommendation = Recommendation(
        *(f"{c}/rec", c, batch.id, draw(seeds), draw(texts), candidate.id, draw(designs), draw(texts)),
        *(draw(bodies), draw(bodies)),
    )
    sample = Sample(f"{c}/sample", c, draw(texts), candidate.id, draw(designs), draw(texts), recommendation.id)
    first = Measurement(
        *(f"{c}/m1", c, sample.id, draw(texts), draw(st.none() | reals), draw(some_text)),
        sd=draw(st.none() | reals),
        qualifier=draw(st.sampled_from("=<>")),
        replicate=draw(some_text),
        composition=draw(st.none() | fractions),
        conditions=draw(bodies),
        source=source.sha256,
        cell=draw(some_text),
    )
    second = Measurement(
        f"{c}/m2", c, sample.id, draw(texts), draw(reals), None, supersedes=first.id, reason=draw(texts)
    )
    version = ModelVersion(f"{c}/r", draw(texts), draw(seeds), c, draw(texts), draw(bodies), draw(bodies))
    prediction = Prediction(candidate.id, f"{c}/r", draw(texts), version.seed, draw(texts), draw(bodies))
    return (
        c,
        draw(bodies.filter(lambda body: "rows" not in body)),
        {
            "source": source,
            "candidate": candidate,
            "spec": spec,
            "batch": batch,
            "recommendation": recommendation,
            "sample": sample,
            "measurements": [first, second],
            "version": version,
            "prediction": prediction,
        },
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(request, make_address):
    """One store for all examples: each example has a campaign of its own."""
    with Store.open(make_address(request.param), create=True) as store:
        yield store


@settings(max_examples=40)
@given(events())
def test_every_record_comes_back_equal_and_verifies(kept, drawn):
    campaign, payload, put = drawn
    ledger = [put[name] for name in ("source", "candidate", "spec", "batch", "recommendation", "sample")]
    event = kept.start(campaign, "start", payload, rows=[*ledger, *put["measurements"]], by="ada")
    kept.put_model_version(put["version"])
    kept.put_predictions([put["prediction"]])
    assert kept.head(campaign) == event
    assert {key: value for key, value in event.payload.items() if key != "rows"} == payload
    assert kept.source(put["source"].sha256) == put["source"]
    assert kept.candidate(put["candidate"].id) == put["candidate"]
    assert kept.spec(campaign) == put["spec"]
    assert kept.batches(campaign) == [put["batch"]]
    assert kept.recommendations(campaign, put["batch"].id) == [put["recommendation"]]
    assert kept.samples(campaign) == [put["sample"]]
    assert kept.measurements(campaign, current=False) == put["measurements"]
    assert kept.measurements(campaign) == put["measurements"][1:]
    assert kept.model_versions(campaign) == [put["version"]]
    prediction = put["prediction"]
    assert kept.predictions(prediction.recipe_hash, prediction.data_hash, prediction.seed) == [prediction]
    assert kept.verify(campaign) == []


def test_all_that_is_wrong_with_a_record_is_said_at_once():
    with pytest.raises(InvalidInput) as caught:
        encode(Measurement("m", "c", "s", "metric\x00", float("nan"), 5, conditions={"a": {1}}))
    assert [problem.where for problem in caught.value.problems] == [
        "measurement.metric",
        "measurement.value",
        "measurement.unit",
        "measurement.conditions",
    ]


@given(st.text(string.printable, min_size=1))
def test_text_is_kept_letter_by_letter(text):
    assert encode(Candidate(text, {}, text)) == {"id": text, "design": "{}", "stratum": text}
