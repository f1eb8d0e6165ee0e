from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import textwrap
from importlib.metadata import version

import pytest

from bifrost_engine import plugins
from bifrost_engine.domain import Quote
from bifrost_engine.errors import PluginError
from bifrost_engine.hookspecs import GROUPS, HOOK_VERSION, hookimpl
from bifrost_engine.plugins import PluginSet
from bifrost_engine.testing import make_context

QUOTE = Quote("SPY|STK|||", 500.00, 500.02, 100, 100, 1_000)
MAJOR = int(HOOK_VERSION.partition(".")[0])

SINK = f"""
from bifrost_engine import hookimpl

class Sink:
    hook_version = {HOOK_VERSION!r}

    def __init__(self, config, context):
        self.config, self.context = config, context

    @hookimpl
    def write_snapshot(self, snapshot, append_history):
        return snapshot

    @hookimpl
    def write_operation(self, operation):
        return operation
"""


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Install a distribution into a folder on the path: ``distribution(name, "sinks", "x", code)``."""
    made = []

    def install(name, kind, plugin, code, release="1.2"):
        module = f"{name.replace('-', '_')}_made_for_a_test"
        folder = tmp_path / name
        info = folder / f"{name.replace('-', '_')}-{release}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")
        (info / "entry_points.txt").write_text(f"[{GROUPS[kind]}]\n{plugin} = {module}:Sink\n")
        (folder / f"{module}.py").write_text(textwrap.dedent(code))
        monkeypatch.syspath_prepend(str(folder))
        made.append(module)
        return module

    yield install
    for module in made:
        sys.modules.pop(module, None)


def test_kinds_and_groups_agree_with_the_hooks():
    assert {kind: f"bifrost.{kind}" for kind in plugins.KINDS} == GROUPS


def test_listing_names_kind_distribution_version_and_factory_and_imports_nothing(distribution):
    module = distribution("my-sink", "sinks", "mine", "raise RuntimeError('imported')")
    (info,) = (info for info in plugins.installed(["sinks"]) if info.name == "mine")
    assert info == ("sinks", "mine", "my-sink", "1.2", f"{module}:Sink")
    assert info.key == "sinks:mine"
    assert module not in sys.modules


def test_listing_only_the_kinds_asked_for(distribution):
    distribution("my-sink", "sinks", "mine", SINK)
    assert "mine" not in {info.name for info in plugins.installed(["brokers", "feeds"])}
    assert plugins.installed([]) == []


def test_importing_the_module_and_listing_leave_pluggy_alone():
    code = (
        "import sys; from bifrost_engine import plugins; plugins.installed(['commands'])\n"
        "assert not {'pluggy', 'structlog', 'attrs'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_returns_the_factory(distribution):
    module = distribution("my-sink", "sinks", "mine", SINK)
    assert plugins.load("sinks", "mine") is sys.modules[module].Sink


@pytest.mark.parametrize(
    ("kind", "name", "command"),
    [
        ("sinks", "postgres", "pip install bifrost-pg"),
        ("brokers", "sim", "pip install bifrost-paper"),
        ("feeds", "comet", "pip install bifrost-comet"),
    ],
)
def test_a_missing_plugin_is_told_with_the_command_that_may_help(monkeypatch, kind, name, command):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(PluginError) as refused:
        plugins.load(kind, name)
    assert str(refused.value) == f"{kind}: {name} is not installed; installed: none; try: {command}"


def test_a_missing_plugin_is_told_with_those_of_its_kind_that_are_installed(distribution):
    distribution("my-sink", "sinks", "mine", SINK)
    with pytest.raises(PluginError, match=r"sinks: yours is not installed; .*\bmine \(my-sink 1\.2\)"):
        plugins.load("sinks", "yours")


def test_two_distributions_with_one_name_are_refused_by_naming_both(distribution):
    distribution("my-sink", "sinks", "mine", SINK)
    distribution("your-sink", "sinks", "mine", SINK, release="3.0")
    with pytest.raises(PluginError, match=r"sinks: mine is provided by my-sink 1\.2 and your-sink 3\.0"):
        plugins.load("sinks", "mine")


def test_one_name_in_two_groups_is_two_plugins(distribution):
    one = distribution("my-sink", "sinks", "mine", SINK)
    other = distribution("my-feed", "feeds", "mine", SINK)
    assert plugins.load("sinks", "mine").__module__ == one
    assert plugins.load("feeds", "mine").__module__ == other


def test_a_module_that_cannot_be_imported_is_named_with_its_error(distribution):
    module = distribution("my-sink", "sinks", "mine", "import no_such_module")
    with pytest.raises(PluginError) as refused:
        plugins.load("sinks", "mine")
    assert str(refused.value) == (
        f"my-sink 1.2: sinks:mine can't be imported from {module}:Sink:"
        " ModuleNotFoundError: No module named 'no_such_module'"
    )


@pytest.mark.parametrize(
    ("stated", "says", "mend"),
    [
        (f"'{MAJOR + 1}.0'", f"hook version {MAJOR + 1}.0", "upgrade bifrost-engine"),
        (f"'{MAJOR - 1}.9'", f"hook version {MAJOR - 1}.9", "upgrade my-sink"),
        ("'new'", "hook version new", "upgrade my-sink"),
        ("None", "no hook version", "upgrade my-sink, or state hook_version in {module}:Sink"),
    ],
)
def test_a_plugin_for_another_major_hook_version_is_refused(distribution, stated, says, mend):
    module = distribution("my-sink", "sinks", "mine", f"class Sink:\n    hook_version = {stated}\n")
    with pytest.raises(PluginError) as refused:
        plugins.load("sinks", "mine")
    engine = version("bifrost-engine")
    assert str(refused.value) == (
        f"my-sink 1.2 provides {says}, engine {engine} needs {MAJOR}.x; {mend.format(module=module)}"
    )


def test_a_plugin_for_another_minor_hook_version_is_taken(distribution):
    distribution("my-sink", "sinks", "mine", f"class Sink:\n    hook_version = '{MAJOR}.97'\n")
    assert plugins.load("sinks", "mine").hook_version == f"{MAJOR}.97"


def test_a_command_needs_no_hook_version(distribution):
    distribution("my-command", "commands", "mine", "def Sink(): ...")
    assert callable(plugins.load("commands", "mine"))


def test_the_report_names_hooks_and_version(distribution):
    distribution("my-sink", "sinks", "mine", SINK)
    report = plugins.inspect(plugins.find("sinks", "mine"))
    assert set(report.hooks) == {"write_snapshot", "write_operation"}
    assert (report.hook_version, report.error) == (HOOK_VERSION, None)


def test_a_broken_plugin_is_reported_and_the_others_are_not_affected(distribution):
    distribution("broken", "sinks", "broken", "1 / 0")
    distribution("good", "sinks", "good", SINK)
    reports = {info.name: plugins.inspect(info) for info in plugins.installed(["sinks"])}
    assert "ZeroDivisionError" in reports["broken"].error
    assert reports["good"].error is None
    assert reports["good"].hooks


def test_the_report_on_doubled_plugins_names_both(distribution):
    distribution("my-sink", "sinks", "mine", SINK)
    distribution("your-sink", "sinks", "mine", SINK)
    reports = [plugins.inspect(info) for info in plugins.installed(["sinks"]) if info.name == "mine"]
    assert len(reports) == 2
    assert all("my-sink 1.2 and your-sink 1.2" in report.error for report in reports)


def sink_with(**methods):
    """Return an instance of a class with these methods."""
    return type("Made", (), methods)()


@hookimpl
def write_snap(self, snapshot): ...


@hookimpl
def on_tick_with_a_clock(self, quote, clock): ...


@hookimpl
def on_tick_by_keyword(self, *, quote): ...


@hookimpl(wrapper=True)
def on_tick_wrapping(self, quote):
    return (yield)


@pytest.mark.parametrize(
    ("methods", "named"),
    [
        ({"write_snap": write_snap}, "write_snap"),
        ({"on_tick": on_tick_with_a_clock}, "clock"),
        ({"on_tick": on_tick_by_keyword}, "on_tick"),
        ({"on_tick": on_tick_wrapping}, "on_tick"),
    ],
)
def test_a_marked_method_that_does_not_fit_a_hook_is_refused_at_start(methods, named):
    with pytest.raises(PluginError, match=rf"^sinks:mine: .*{named}"):
        PluginSet().register("sinks", "mine", sink_with(**methods))


def test_a_wrong_signature_shows_in_the_report_too(distribution):
    distribution("my-sink", "sinks", "mine", SINK.replace("operation)", "op)"))
    assert "write_operation" in plugins.inspect(plugins.find("sinks", "mine")).error


class Observer:
    def __init__(self):
        self.seen = []

    @hookimpl
    def on_tick(self, quote):
        self.seen.append(quote)


class Strategy:
    @hookimpl
    def on_tick(self, quote, view):
        return (quote, view)


class Backward:
    @hookimpl
    def on_tick(self, view, quote):
        return (quote, view)


class Silent:
    @hookimpl
    def on_tick(self):
        return "called"


def test_each_implementation_gets_only_the_arguments_that_it_takes():
    chosen, observer = PluginSet(), Observer()
    chosen.register("brokers", "paper", observer)
    chosen.register("strategies", "one", Strategy())
    chosen.register("strategies", "two", Backward())
    chosen.register("strategies", "three", Silent())
    answers = [call(QUOTE, "view") for _, call in chosen.implementations("on_tick")]
    assert observer.seen == [QUOTE]
    assert answers == [None, (QUOTE, "view"), (QUOTE, "view"), "called"]


def test_an_implementation_that_takes_everything_is_called_without_a_layer_between():
    chosen, strategy = PluginSet(), Strategy()
    chosen.register("strategies", "one", strategy)
    assert chosen.implementation("strategies", "one", "on_tick") == strategy.on_tick


def test_a_coroutine_that_takes_fewer_arguments_is_still_a_coroutine():
    class Feed:
        @hookimpl
        async def subscribe(self):
            return "subscribed"

    chosen = PluginSet()
    chosen.register("feeds", "mine", Feed())
    call = chosen.implementation("feeds", "mine", "subscribe")
    assert inspect.iscoroutinefunction(call)
    assert asyncio.run(call(())) == "subscribed"


def test_an_argument_with_a_default_is_passed_all_the_same():
    class Sink:
        @hookimpl
        def write_snapshot(self, snapshot, append_history=False):
            return append_history

    chosen = PluginSet()
    chosen.register("sinks", "mine", Sink())
    assert chosen.implementation("sinks", "mine", "write_snapshot")({}, True) is True


def test_implementations_can_be_asked_for_by_kind_and_keep_the_order_of_registration():
    chosen = PluginSet()
    chosen.register("strategies", "b", Strategy())
    chosen.register("brokers", "paper", Observer())
    chosen.register("strategies", "a", Strategy())
    assert [key for key, _ in chosen.implementations("on_tick", "strategies")] == [
        "strategies:b",
        "strategies:a",
    ]
    assert len(chosen.implementations("on_tick")) == 3
    assert chosen.implementations("write_snapshot") == ()


def test_a_plugin_registered_later_is_seen():
    chosen = PluginSet()
    assert chosen.implementations("on_tick") == ()
    chosen.register("brokers", "paper", Observer())
    assert [key for key, _ in chosen.implementations("on_tick")] == ["brokers:paper"]


def test_one_key_can_be_registered_only_once():
    chosen = PluginSet()
    chosen.register("brokers", "paper", Observer())
    with pytest.raises(PluginError, match="brokers:paper"):
        chosen.register("brokers", "paper", Observer())
    assert chosen.keys == ("brokers:paper",)


def test_starting_makes_the_plugin_from_its_section_and_context_and_registers_it(distribution, tmp_path):
    distribution("my-sink", "sinks", "mine", SINK)
    chosen, context = PluginSet(), make_context(tmp_path)
    sink = chosen.start("sinks", "mine", {"a": 1}, context)
    assert (sink.config, sink.context) == ({"a": 1}, context)
    assert chosen.plugin("sinks", "mine") is sink
    assert chosen.implementation("sinks", "mine", "write_operation")({"type": "fill"}) == {"type": "fill"}


def test_a_plugin_that_cannot_be_made_is_named_with_its_error(distribution, tmp_path):
    distribution(
        "my-sink", "sinks", "mine", SINK.replace("self.config, self.context = config, context", "1/0")
    )
    with pytest.raises(PluginError, match="sinks:mine can't be made: ZeroDivisionError"):
        PluginSet().start("sinks", "mine", None, make_context(tmp_path))


def test_a_plugins_own_refusal_comes_through_as_it_is(distribution, tmp_path):
    refusing = SINK.replace("self.config, self.context = config, context", "raise PluginError('not today')")
    distribution("my-sink", "sinks", "mine", "from bifrost_engine.errors import PluginError\n" + refusing)
    with pytest.raises(PluginError, match=r"^not today$"):
        PluginSet().start("sinks", "mine", None, make_context(tmp_path))


class FullObserver:
    """An observer that takes all of the hook's arguments."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def on_tick(self, quote: Quote, view: object) -> None:
        self.seen.append((quote, view))


def test_observers_take_the_quote_alone_whatever_they_declare():
    plugins, slim, full = PluginSet(), Observer(), FullObserver()
    plugins.register("brokers", "slim", slim)
    plugins.register("sinks", "full", full)
    plugins.register("strategies", "gamma", FullObserver())
    assert [key for key, _ in plugins.observers()] == ["brokers:slim", "sinks:full"]
    for _, watch in plugins.observers():
        watch(QUOTE)
    assert slim.seen == [QUOTE]
    assert full.seen == [(QUOTE, None)]
