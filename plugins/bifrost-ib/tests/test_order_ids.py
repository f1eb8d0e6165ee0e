from __future__ import annotations

import pytest
from bifrost_ib.order_ids import HighestId


def test_an_id_is_on_disk_before_it_is_used(tmp_path):
    ids = HighestId(tmp_path / "ids.json")
    assert ids.of(1) == 0
    ids.reserve(1, 7)
    assert HighestId(tmp_path / "ids.json").of(1) >= 7


def test_ids_of_several_clients_are_kept_apart(tmp_path):
    ids = HighestId(tmp_path / "ids.json")
    ids.reserve(1, 500)
    ids.reserve(2, 3)
    assert ids.of(1) >= 500
    assert 3 <= ids.of(2) < 500


def test_the_highest_never_falls(tmp_path):
    ids = HighestId(tmp_path / "ids.json")
    ids.reserve(1, 5_000)
    highest = ids.of(1)
    ids.reserve(1, 3)
    assert HighestId(tmp_path / "ids.json").of(1) == highest


@pytest.mark.parametrize("text", ["", "[]", '{"1": "many"}', "garbage"])
def test_a_file_that_is_not_ours_is_refused_instead_of_taken_for_none(tmp_path, text):
    (tmp_path / "ids.json").write_text(text)
    with pytest.raises(ValueError, match="expected order ids"):
        HighestId(tmp_path / "ids.json").of(1)
