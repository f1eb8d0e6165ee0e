"""Records whose payload is made when it is looked at."""

from __future__ import annotations

from bifrost_engine.domain.record import Record


def test_a_payload_given_as_a_function_is_made_once_and_only_when_looked_at():
    made = []

    def payload():
        made.append(1)
        return {"n": 1}

    record = Record(1, 2, "signal", None, None, payload)
    assert not made
    assert record.payload == {"n": 1}
    assert record.payload == {"n": 1}
    assert len(made) == 1


def test_records_are_equal_by_what_they_say():
    assert Record(1, 2, "signal", "a", None, {"n": 1}) == Record(1, 2, "signal", "a", None, lambda: {"n": 1})
    assert Record(1, 2, "signal", "a", None, {"n": 1}) != Record(1, 2, "signal", "a", None, {"n": 2})
