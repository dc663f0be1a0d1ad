"""What is typed on the command line is read whole or refused: nothing is dropped, and nothing ends in a traceback."""

NEW = ("record", "oer-plate", "s1", "Ni=0.5", "Fe=0.5", "overpotential=263 mV")


def test_a_value_may_hold_an_equals_sign_and_no_name_is_given_twice(plate):
    checked = plate(*NEW, "notes=pH=14", "--json")
    assert checked.json["rows"][0]["result"]["conditions"] == {"notes": "pH=14"}
    assert checked.json["notices"][1:] == []
    twice = plate(*NEW, "overpotential=270 mV")
    assert (twice.code, twice.out) == (2, "")
    assert "'overpotential' is given more than once" in twice.err
    twice = plate("ingest", "oer-plate", "history.csv", "--map", "a=ignore", "--map", "a=keep")
    assert twice.code == 2


def test_an_impossible_moment_is_refused(plate):
    for when in ("+-3", "9" * 5000, "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "²"):
        told = plate("status", "oer-plate", "--as-of", when)
        assert told.code == 3
        assert "is no date, time or event number" in told.err


def test_an_argument_that_is_no_text_is_refused(siteloop):
    told = siteloop("status", "b\udcff")
    assert told.code == 2
    assert "not UTF-8 text" in told.err
