"""Finding, checking and holding plugins; ``guard.py`` isolates what they raise.

Discovery reads the entry points of installed distributions and imports nothing; only
what a run selects is imported. ``PluginSet`` checks each plugin against the hooks by
pluggy when it is registered and then hands out plain callables, so that pluggy isn't in
the way of a tick. Importing this module is cheap: neither pluggy nor the hooks are loaded
before a plugin is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, iscoroutinefunction, signature
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from bifrost_engine.errors import BifrostError, PluginError
from bifrost_engine.guard import Implementation

if TYPE_CHECKING:
    import pluggy

    from bifrost_engine.hookspecs import PluginContext

KINDS = ("brokers", "sinks", "feeds", "strategies", "commands")
"""Kinds of plugins; the keys of ``hookspecs.GROUPS``, here so that listing needn't load the hooks."""

DISTRIBUTIONS = {
    "postgres": "bifrost-pg",
    "ib": "bifrost-ib",
    "paper": "bifrost-paper",
    "sim": "bifrost-paper",
}
"""Plugin name → distribution, where it isn't ``bifrost-<name>``."""


class PluginInfo(NamedTuple):
    """One installed plugin, not imported.

    kind   a key of ``hookspecs.GROUPS``
    value  ``module:attribute`` of its factory
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str

    @property
    def key(self) -> str:
        """``kind:name``, which identifies a plugin in a run."""
        return f"{self.kind}:{self.name}"

    @property
    def origin(self) -> str:
        """Distribution and version, as in messages."""
        return f"{self.distribution} {self.version}"


class PluginReport(NamedTuple):
    """What is known of a plugin after importing it.

    hooks         names of the hooks it implements; empty if its factory isn't a class
    hook_version  version of the hooks it was built for, or None
    error         why it can't be used, or None
    """

    info: PluginInfo
    hooks: tuple[str, ...]
    hook_version: str | None
    error: str | None


def installed(kinds: Iterable[str] | None = None) -> list[PluginInfo]:
    """Return the installed plugins of ``kinds`` (default: all) by kind and name, importing none."""
    path = tuple(sys.path)
    return [info for kind in (KINDS if kinds is None else kinds) for info in _on(path, kind)]


@lru_cache(maxsize=64)
def _on(path: tuple[str, ...], kind: str) -> tuple[PluginInfo, ...]:
    """Return what a path has of a kind; a start asks a dozen times, and each reading takes a while."""
    return tuple(sorted(_info(kind, entry) for entry in _entry_points(path).select(group=f"bifrost.{kind}")))


@lru_cache(maxsize=8)
def _entry_points(_path: tuple[str, ...]) -> Any:
    return entry_points()


def _info(kind: str, entry: EntryPoint) -> PluginInfo:
    told = entry.dist.metadata if entry.dist else {"Name": "?", "Version": "?"}  # read anew at each look
    return PluginInfo(kind, entry.name, told["Name"], told["Version"], entry.value)


def find(kind: str, name: str) -> PluginInfo:
    """Return the one plugin of that kind and name.

    Raises PluginError if there is none, with what is installed and what may help, or if
    several distributions bring it, naming them.
    """
    candidates = installed([kind])
    matches = [info for info in candidates if info.name == name]
    if not matches:
        raise PluginError(_missing(kind, name, candidates))
    if len(matches) > 1:
        origins = " and ".join(info.origin for info in matches)
        raise PluginError(f"{kind}: {name} is provided by {origins}; uninstall all but one")
    return matches[0]


def _missing(kind: str, name: str, candidates: list[PluginInfo]) -> str:
    names = ", ".join(f"{info.name} ({info.origin})" for info in candidates) or "none"
    distribution = DISTRIBUTIONS.get(name, f"bifrost-{name}")
    return f"{kind}: {name} is not installed; installed: {names}; try: pip install {distribution}"


def load(kind: str, name: str) -> Any:
    """Import one plugin and return its factory.

    Raises PluginError if it is missing, doubled, can't be imported, or was built for
    another major version of the hooks.
    """
    info = find(kind, name)
    factory = _import(info)
    _check_version(info, factory)
    return factory


def _import(info: PluginInfo) -> Any:
    try:
        return EntryPoint(info.name, info.value, f"bifrost.{info.kind}").load()
    except Exception as error:
        raise PluginError(
            f"{info.origin}: {info.key} can't be imported from {info.value}: {type(error).__name__}: {error}"
        ) from error


def _check_version(info: PluginInfo, factory: Any) -> None:
    from bifrost_engine.hookspecs import HOOK_VERSION

    found, needed = getattr(factory, "hook_version", None), _major(HOOK_VERSION)
    if found is None:
        if info.kind == "commands":  # a command implements no hooks
            return
        says, mend = "no hook version", f"upgrade {info.distribution}, or state hook_version in {info.value}"
    else:
        major = _major(str(found))
        if major == needed:
            return
        says = f"hook version {found}"
        mend = f"upgrade {'bifrost-engine' if major > needed else info.distribution}"
    from bifrost_engine import __version__

    raise PluginError(f"{info.origin} provides {says}, engine {__version__} needs {needed}.x; {mend}")


def _major(version: str) -> int:
    """Return the number before the first dot, −1 if there is none."""
    head = version.partition(".")[0]
    return int(head) if head.isdecimal() else -1


def inspect(info: PluginInfo) -> PluginReport:
    """Import one plugin and report on it; a plugin that is broken is reported, never raised."""
    factory: Any = None
    hooks: tuple[str, ...] = ()
    error = None
    try:
        factory = _import(info)
        _check_version(info, factory)
        find(info.kind, info.name)
        if isinstance(factory, type):
            hooks = tuple(_checked_hooks(_plugin_registrar(), info.key, factory))
    except PluginError as refused:
        error = str(refused)
    version = getattr(factory, "hook_version", None)
    return PluginReport(info, hooks, None if version is None else str(version), error)


def _plugin_registrar() -> pluggy.PluginManager:
    import pluggy

    from bifrost_engine import hookspecs

    registrar = pluggy.PluginManager(hookspecs.PROJECT)
    registrar.add_hookspecs(hookspecs)
    return registrar


def _checked_hooks(
    registrar: pluggy.PluginManager, key: str, plugin: object
) -> dict[str, tuple[Implementation, tuple[int, ...], int]]:
    """Register ``plugin`` or its class; return by hook the method, the positions taken, and the hook's count.

    Raises PluginError for a method that is marked but is no hook, or takes other arguments.
    """
    import pluggy

    try:
        registrar.register(plugin, key)
        registrar.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"{key}: {' '.join(str(error).split())}") from error
    checked = {}
    for caller in registrar.get_hookcallers(plugin) or ():
        if caller.spec is None:  # marked as optional: a hook of a newer engine
            continue
        offered = (*caller.spec.argnames, *caller.spec.kwargnames)
        (made,) = (made for made in caller.get_hookimpls() if made.plugin is plugin)
        taken = (*made.argnames, *made.kwargnames)
        if set(taken) - set(offered) or made.hookwrapper or made.wrapper or _keyword_only(made.function):
            raise PluginError(
                f"{key}: {caller.name} takes ({', '.join(taken)}); expected a plain method with"
                f" ({', '.join(offered)}) or fewer of them"
            )
        checked[caller.name] = (made.function, tuple(map(offered.index, taken)), len(offered))
    return checked


def _keyword_only(function: Implementation) -> bool:
    return any(p.kind is Parameter.KEYWORD_ONLY for p in signature(function).parameters.values())


def _adapted(method: Implementation, positions: tuple[int, ...], offered: int) -> Implementation:
    """Return a callable that takes all of the hook's arguments and passes those at ``positions``."""
    if positions == tuple(range(offered)):
        return method
    chosen = _choosing(method, positions)
    if not iscoroutinefunction(method):
        return chosen

    async def awaited(*arguments: Any) -> Any:  # hosts tell coroutines and blocking calls apart
        return await chosen(*arguments)

    return awaited


def _watching(on_tick: Implementation, positions: tuple[int, ...]) -> Implementation:
    """Return ``on_tick`` as an observer has it: of the quote, without a strategy's view."""
    if positions == (0,):
        return on_tick
    if not positions:
        return lambda _quote: on_tick()
    return lambda quote: on_tick(*((quote, None)[position] for position in positions))


def _choosing(method: Implementation, positions: tuple[int, ...]) -> Implementation:
    if not positions:
        return lambda *_: method()
    if len(positions) == 1:
        only = positions[0]
        return lambda *arguments: method(arguments[only])
    pick = itemgetter(*positions)
    return lambda *arguments: method(*pick(arguments))


class PluginSet:
    """The plugins of one run, in the order in which they were registered.

    Implementations are plain callables: call them with all the hook's arguments, by position.
    """

    def __init__(self) -> None:
        self._registrar: pluggy.PluginManager | None = None
        self._plugins: dict[str, Any] = {}
        self._hooks: dict[str, dict[str, Implementation]] = {}
        self._watchers: dict[str, Implementation] = {}
        self._cache: dict[tuple[str, str | None], tuple[tuple[str, Implementation], ...]] = {}

    def start(self, kind: str, name: str, config: Any, context: PluginContext) -> Any:
        """Import, make and register one plugin, and return it.

        config  the plugin's validated section

        Raises PluginError for all that goes wrong on the way.
        """
        factory = load(kind, name)
        try:
            plugin = factory(config, context)
        except BifrostError:
            raise
        except Exception as error:
            raise PluginError(f"{kind}:{name} can't be made: {type(error).__name__}: {error}") from error
        self.register(kind, name, plugin)
        return plugin

    def register(self, kind: str, name: str, plugin: Any) -> None:
        """Take a plugin that was made already.

        Raises PluginError if its key is taken, or an implementation doesn't fit its hook.
        """
        key = f"{kind}:{name}"
        if self._registrar is None:
            self._registrar = _plugin_registrar()
        checked = _checked_hooks(self._registrar, key, plugin)
        self._plugins[key] = plugin
        self._hooks[key] = {hook: _adapted(*parts) for hook, parts in checked.items()}
        if kind != "strategies" and "on_tick" in checked:
            self._watchers[key] = _watching(*checked["on_tick"][:2])
        self._cache.clear()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys (``kind:name``) of the registered plugins."""
        return tuple(self._plugins)

    def plugin(self, kind: str, name: str) -> Any:
        """Return a registered plugin. Raises KeyError."""
        return self._plugins[f"{kind}:{name}"]

    def observers(self) -> tuple[tuple[str, Implementation], ...]:
        """Return ``(plugin key, callable)`` of each plugin that watches ticks; it takes the quote alone.

        A quote goes through all of them: a method that takes just the quote is called as it is.
        """
        return tuple(self._watchers.items())

    def implementation(self, kind: str, name: str, hook: str) -> Implementation | None:
        """Return one plugin's implementation of ``hook``, or None."""
        return self._hooks[f"{kind}:{name}"].get(hook)

    def implementations(self, hook: str, kind: str | None = None) -> tuple[tuple[str, Implementation], ...]:
        """Return ``(plugin key, callable)`` of each plugin, of one kind or all, that implements ``hook``."""
        if (hook, kind) not in self._cache:
            self._cache[hook, kind] = tuple(
                (key, hooks[hook])
                for key, hooks in self._hooks.items()
                if hook in hooks and kind in (None, key.partition(":")[0])
            )
        return self._cache[hook, kind]
