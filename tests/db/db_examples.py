"""Records to put into a store, small but with every field used somewhere."""

import hashlib

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

CAMPAIGN = "oer-plate"
CONTENT = b"sample_id,Ni,Fe,overpotential (mV)\nb1-01,0.5,0.5,271\n\x00\xff"

SOURCE = Source(hashlib.sha256(CONTENT).hexdigest(), "results.csv", CONTENT)
SPEC = SpecRevision("spec-1", CAMPAIGN, 1, {"seed": 7, "space": {"elements": ["Ni", "Fe"]}}, {"results.csv": "ab"})
CANDIDATE = Candidate("ni50fe50", {"Ni": 0.5, "Fe": 0.5}, "2 elements")
BATCH = Batch("batch-1", CAMPAIGN, 1, 1, "snapshot", "0.1.0", 2**63 - 1, {"acquisition": "qLogNEI"})
RECOMMENDATION = Recommendation(
    *("rec-1", CAMPAIGN, BATCH.id, 1, "b1-01", CANDIDATE.id, CANDIDATE.design, CANDIDATE.stratum),
    {"overpotential": {"median": 250.5, "0.8": [231.0, 270.25]}},
    {"exploit": True, "note": "η in mV, „Ärger“"},
)
SAMPLE = Sample("sample-1", CAMPAIGN, "b1-01", CANDIDATE.id, CANDIDATE.design, CANDIDATE.stratum, RECOMMENDATION.id)
MEASUREMENT = Measurement(
    *("m-1", CAMPAIGN, SAMPLE.id, "overpotential", 271.3, "mV"),
    sd=5.0,
    conditions={"j": "10 mA/cm^2"},
    source=SOURCE.sha256,
    cell="D2",
)
COMPOSITION = Measurement(
    *("m-2", CAMPAIGN, SAMPLE.id, "composition", None, None), composition={"Ni": 0.48, "Fe": 0.52}
)
CORRECTION = Measurement(
    *("m-3", CAMPAIGN, SAMPLE.id, "overpotential", 217.3, "mV"), supersedes="m-1", reason="digits swapped"
)
MODEL = ModelVersion("recipe", "data", 7, CAMPAIGN, "overpotential", {"type": "gp"}, {"winkler": 41.5})
PREDICTION = Prediction(CANDIDATE.id, "recipe", "data", 7, "overpotential", {"median": 250.5})


def fill(store):
    """Three events in the examples' campaign: the start, a batch, and results with one row of every kind."""
    store.start(CAMPAIGN, "start", {"n": 1}, rows=[SPEC], by="ada")
    store.append(CAMPAIGN, "recommend", {}, rows=[RECOMMENDATION, BATCH, CANDIDATE], by="ada")
    store.append(CAMPAIGN, "ingest", {"accepted": 1}, rows=[SOURCE, SAMPLE, MEASUREMENT, COMPOSITION], by="ben")
