"""Positions from a file: what it may say, and what it may not, told with its line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.holdings import read_positions

STOCK, CALL = "NVDA|STK|||", "NVDA|OPT|20250328|120|C"
HEAD = "contract_key,quantity,average_cost\n"

REFUSED = {
    "other columns": (
        "p.csv",
        "contract,quantity\n",
        ["1: expected the columns contract_key,quantity, found contract,quantity"],
    ),
    "a thousand's comma": (
        "p.csv",
        f"{HEAD}{CALL},1,000,5\n",
        ["2: expected 3 fields, as the header has, found 4"],
    ),
    "a thousand's underscore": (
        "p.csv",
        f"{HEAD}{STOCK},1_000,5\n",
        [f"2: position '{STOCK}': quantity: expected a number, was 1_000"],
    ),
    "every line that is wrong": (
        "p.csv",
        f"{HEAD}{CALL},1.5,5\n\n{STOCK},ten\n{STOCK},\nNVDA|OPT|,1\n",
        [
            f"2: position '{CALL}': quantity: expected a whole number of contracts, negative for short, "
            "was 1.5",
            f"4: position '{STOCK}': quantity: expected a number, was ten",
            f"5: position '{STOCK}': expected its quantity, was missing",
            "6: position 'NVDA|OPT|': contract key 'NVDA|OPT|': expected symbol|sec_type|expiry|strike|"
            "right, perhaps with |trading class",
        ],
    ),
    "a cost below nothing": (
        "p.csv",
        f"{HEAD}{CALL},1,-5\n",
        [f"2: position '{CALL}': average_cost: expected an amount of 0 or more, was -5"],
    ),
    "numbers in YAML": (
        "p.yaml",
        f"# mine\n'{STOCK}': {{quantity: .nan}}\n'{CALL}': {{quantity: 1, multiplier: 0}}\n",
        [
            f"2: position '{STOCK}': quantity: expected a number, was nan",
            f"3: position '{CALL}': multiplier: expected a number above 0, was 0",
        ],
    ),
    "keys in YAML": (
        "p.yaml",
        f"'{STOCK}': 1\n'{STOCK}': 2\n'{CALL}': {{quantity: 1, avg_cost: 3}}\n",
        [
            f"2: position '{STOCK}': expected each contract once, was there before",
            f"3: position '{CALL}': expected quantity, average_cost, multiplier, was avg_cost",
        ],
    ),
    "a list": ("p.json", "[1]", [" expected contract keys with their quantities"]),
    "no file": ("p.yaml", None, [" positions can't be read: No such file or directory"]),
}


@pytest.mark.parametrize(("name", "text", "problems"), REFUSED.values(), ids=REFUSED)
def test_what_a_file_may_not_say_is_told_with_its_line(name, text, problems, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_positions(Path(name))
    assert list(raised.value.problems) == [f"{name}:{problem}" for problem in problems]


def test_a_file_may_have_parts_of_shares_and_further_columns(tmp_path):
    (tmp_path / "p.csv").write_text(f"account,contract_key,quantity,average_cost\nDU1,{STOCK},-1.5,0\n")
    assert read_positions(tmp_path / "p.csv") == {STOCK: {"quantity": Decimal("-1.5"), "average_cost": 0}}


def test_an_empty_file_begins_with_nothing(tmp_path):
    (tmp_path / "p.yaml").write_text("")
    assert read_positions(tmp_path / "p.yaml") == {}
