"""Each configuration that the documents show is one that Bifrost takes."""

from __future__ import annotations

import re
from contextlib import chdir
from pathlib import Path

import pytest

from bifrost_engine.cli.main import run
from bifrost_engine.config.loader import load
from bifrost_engine.config.structure import structure_section
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.journal import JournalReader
from bifrost_engine.plugins import installed
from bifrost_engine.plugins import load as load_plugin

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("docs/examples/*.yaml"), *ROOT.glob("examples/*.yaml")])
WRITTEN = ("*.md", "docs/**/*.md", "plugins/*/README.md", "examples/plugins/*/README.md")
PAGES = sorted(page for pattern in WRITTEN for page in ROOT.glob(pattern))
OF_OTHERS = {"band", "jsonl"}
"""Plugins that documents show and that need not be installed."""
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text("utf-8")), start=1)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_file_loads_with_the_sections_of_its_plugins(path):
    config = load_config(RunOptions(config_path=path), {}).config
    for strategy in config.strategies:
        assert load_plugin("strategies", strategy.use)


def test_both_strategies_of_the_example_trade(tmp_path, monkeypatch):
    monkeypatch.setenv("BIFROST_STATE_DIR", str(tmp_path))
    file = ROOT / "docs" / "examples" / "two-strategies.yaml"
    with chdir(tmp_path):
        assert run(["run", "--config", str(file), "--speed", "max", "--until", "2025-03-03T09:40"]) == 0
    (path,) = tmp_path.glob("*/journal-*.db")
    with JournalReader(path) as reader:
        traded = {record.strategy_id for record in reader.records(kinds={"fill"}) if record.client_order_id}
    assert traded == {"nvda", "spy"}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_configuration_in_a_document_loads(block):
    names = {info.name for info in installed()} | OF_OTHERS
    text = block.replace("…", "example")
    config = load(text, plugin_names=names, need_strategy=False).config
    for name, section in config.sections.items():
        for kind in ("brokers", "feeds"):
            if any((info.kind, info.name) == (kind, name) for info in installed()):
                structure_section(load_plugin(kind, name).Config, section, name)


def test_there_are_examples_to_check():
    assert len(FILES) >= 4
    assert len(BLOCKS) >= 5
