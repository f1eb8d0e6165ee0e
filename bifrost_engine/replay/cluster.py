"""Points of a sweep on a Dask cluster.

A worker runs what a process here would, and only once it is sure that it has the same
versions, configuration and data: other inputs would give other figures, and nobody would
see it. One that joins later, or comes back after its death, makes sure before its first point.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import structlog
from attrs import evolve, frozen

from bifrost_engine.errors import BifrostError, ConfigError
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.identity import effective, versions
from bifrost_engine.replay.mapped import map_data
from bifrost_engine.replay.points import Point
from bifrost_engine.replay.sweep import Outcome, Outcomes, Task, failed, run_point

INSTALL = "pip install 'bifrost-engine[dask]'"
ANSWER_S, JOIN_S, LOOK_S, ALONE_S = 5, 10, 5, 60
"""How long a scheduler may take to answer, a worker to be there, and all of them to be away."""
AT_ONCE = 1_000
"""Points that the scheduler knows at a time."""
NAMED = 5

_log = structlog.get_logger("bifrost")


class Unfit(ConfigError):
    """A worker would come to other figures than this host."""


@contextmanager
def on_cluster(address: str) -> Iterator[Cluster]:
    """Connect with a scheduler and yield what runs points there. Raises ConfigError if none answers."""
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(f"--dask needs Dask: {INSTALL}") from None
    try:
        client = Client(address, timeout=f"{ANSWER_S}s")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--dask {address}: no scheduler answers there: {error}") from error
    cluster = Cluster(client, address)
    try:
        yield cluster
    finally:
        cluster.leave()


class Cluster:
    """Runs points on the workers of a scheduler; as ``Runner``."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._is_lost = False

    def __call__(self, task: Task, points: Sequence[Point]) -> Outcomes:
        """Yield what came of each point as it comes.

        Raises ConfigError for workers that aren't there, or wouldn't come to the same, BifrostError
        when the cluster is lost.
        """
        base = task.base()
        shared = Shared(task=task, config=effective(base))
        rest = iter(points)
        busy: dict[Any, Point] = {}
        try:
            self._check_workers(shared, versions(base))
            busy = {self._submit(shared, point): point for point in islice(rest, AT_ONCE)}
            while busy:
                for future in self._done(list(busy)):
                    point = busy.pop(future)
                    following = next(rest, None)
                    if following is not None:
                        busy[self._submit(shared, following)] = following
                    yield _outcome(future, point)
        except CancelledError as error:  # which names each of its points
            self._is_lost = True
            raise self._lost("the scheduler was lost, or gave the points up") from error
        except OSError as error:
            self._is_lost = True
            raise self._lost(f"the scheduler was lost: {error}") from error
        finally:
            self._tell(lambda: self._client.cancel(list(busy)))

    def leave(self) -> None:
        """Have the workers remove what they were given, and disconnect."""
        self._tell(lambda: self._client.run(_forget, on_error="ignore"))
        dask = logging.getLogger("distributed.client")
        dask.disabled = self._is_lost  # what its own end says of it is in our words already
        try:
            self._client.close()
        except (RuntimeError, OSError) as error:  # it was closing by itself, for want of a scheduler
            _log.warning("dask_client_not_closed", address=self._address, error=str(error))
        finally:
            dask.disabled = False

    def _tell(self, call: Callable[[], object]) -> None:
        """Tell a scheduler something that changes no result; one that was lost isn't waited for."""
        if self._is_lost:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the results are there, or an error told
            self._is_lost = True
            _log.warning("dask_scheduler_lost", address=self._address, error=str(error))

    def _submit(self, shared: Shared, point: Point) -> Any:
        return self._client.submit(run_there, shared, point, pure=False)

    def _done(self, futures: list[Any]) -> Any:
        """Return those of the futures that are done, after some time even if none is.

        Raises BifrostError when there is nobody left to wait for.
        """
        from distributed import TimeoutError, wait

        for _ in range(ALONE_S // LOOK_S):
            try:
                return wait(futures, timeout=LOOK_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                if self._workers():
                    return ()
        raise self._lost(f"no worker is left since {ALONE_S} s")

    def _lost(self, why: str) -> BifrostError:
        return BifrostError(
            f"--dask {self._address}: {why}; what had finished is kept, the same command goes on with it"
        )

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def _check_workers(self, shared: Shared, wanted: Mapping[str, str]) -> None:
        """Make all workers ready that are there. Raises ConfigError, naming those that can't be."""
        from distributed import TimeoutError

        try:
            self._client.wait_for_workers(1, timeout=JOIN_S)
        except TimeoutError:
            raise ConfigError(f"--dask {self._address}: the scheduler has no workers") from None
        told = self._client.run(_version_probe(), list(wanted), on_error="return")
        problems = [
            f"worker {worker}: {text}" for worker, found in told.items() for text in _other(found, wanted)
        ]
        problems = problems or list(self._make_ready(shared, list(told)))
        if problems:
            raise ConfigError(*(f"--dask {self._address}: {text}" for text in problems))

    def _make_ready(self, shared: Shared, workers: Sequence[str]) -> Iterator[str]:
        """Make workers ready, and yield why one can't be; one that is lost meanwhile isn't waited for."""
        asked = {
            self._client.submit(_made_ready, shared, workers=[worker], pure=False): worker
            for worker in workers
        }
        while asked:
            for future in self._done(list(asked)):
                del asked[future]
                text = future.result()
                if text:
                    yield text
            there = self._workers()
            lost = [future for future, worker in asked.items() if worker not in there]
            self._client.cancel(lost)
            for future in lost:
                del asked[future]


def _outcome(future: Any, point: Point) -> Outcome:
    if future.status == "error":
        error = future.exception()
        if isinstance(error, Unfit):
            raise error
        return failed(point, f"its worker ended: {error}")
    outcome: Outcome = future.result()
    return outcome


# --- versions --------------------------------------------------------------------------------


def _version_probe() -> Callable[[Sequence[str]], dict[str, str | None]]:
    # Nested, so that it travels as code: a worker may have no engine that it could be found in.
    def found(names: Sequence[str]) -> dict[str, str | None]:
        from importlib.metadata import PackageNotFoundError, version

        told: dict[str, str | None] = {}
        for name in names:
            try:
                told[name] = version(name)
            except PackageNotFoundError:
                told[name] = None
        return told

    return found


def _other(found: Any, wanted: Mapping[str, str]) -> list[str]:
    """Return in words which versions aren't those that are wanted."""
    if isinstance(found, BaseException):
        return [f"can't tell its versions: {found!r}"]
    return [
        f"{name} is {found[name] or 'missing'} there, {version} here; install the same"
        for name, version in wanted.items()
        if found[name] != version
    ]


# --- on a worker -----------------------------------------------------------------------------


@frozen(kw_only=True)
class Shared:
    """What goes to the workers.

    config  settings as this host has them, secrets hidden
    """

    task: Task
    config: Mapping[str, Any]


_ready: dict[Path, Task] = {}
_lock = Lock()


def run_there(shared: Shared, point: Point) -> Outcome:
    """Run one point on a worker. Raises Unfit on one that wouldn't come to the same as others."""
    with _lock:  # a worker may have several threads
        task = _make_ready(shared)
    return run_point(task, point)


def _made_ready(shared: Shared) -> str | None:
    """Return why this worker can't run a sweep, in words; None where it can."""
    try:
        with _lock:
            _make_ready(shared)
    except Unfit as error:
        return str(error)
    return None


def _make_ready(shared: Shared) -> Task:
    """Return the task as it runs here; what it takes is done the first time."""
    from distributed import get_worker

    worker = get_worker()
    task = shared.task
    if task.data.folder in _ready:
        return _ready[task.data.folder]
    try:
        if not task.data.is_here:
            task = evolve(task, data=_columns(task, Path(worker.local_directory)))
        config = effective(task.base())
    except (BifrostError, OSError) as error:
        raise Unfit(f"worker {worker.address}: {error}") from error
    others = list(_differences(config, shared.config))
    if others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        raise Unfit(
            f"worker {worker.address}: its configuration is another one: {'; '.join(others[:NAMED])}{more}"
        )
    _ready[shared.task.data.folder] = task
    return task


def _columns(task: Task, folder: Path) -> Any:
    """Map this worker's own copy of the recording, for which it has to be the same."""
    wanted = task.data
    data = DataSet(wanted.source, wanted.start_ns, wanted.end_ns)
    for file, other in zip(data.digests, wanted.digests, strict=False):
        if file.sha256 != other.sha256:
            raise ConfigError(
                f"{wanted.source}: {file.name} has SHA-256 {file.sha256[:12]}… there, "
                f"{other.name} {other.sha256[:12]}… here"
            )
    if len(data.digests) != len(wanted.digests):
        raise ConfigError(f"{wanted.source}: {len(data.digests)} files there, {len(wanted.digests)} here")
    own = folder / wanted.folder.name
    own.mkdir(parents=True, exist_ok=True)
    return map_data(data, own)


def _differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """Yield the settings that differ, with both values."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys((*here, *there)):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}" if path else str(key))
    elif there != here:
        yield f"{path} is {there!r} there, {here!r} here"


def _forget() -> None:
    """Remove a worker's own columns."""
    from distributed import get_worker

    own = Path(get_worker().local_directory)
    with _lock:
        for task in _ready.values():
            if task.data.folder.parent == own:
                shutil.rmtree(task.data.folder, ignore_errors=True)
        _ready.clear()
