"""A sweep on a Dask cluster comes to what one here does, or says which worker can't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadly import Deadly, DeadlyIn
from generated_day import market, write_config, write_quotes
from patience import wait_for

from bifrost_engine.cli.main import run
from bifrost_engine.cli.sweeping import Source
from bifrost_engine.errors import BifrostError
from bifrost_engine.replay.cluster import on_cluster
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.mapped import map_data
from bifrost_engine.replay.points import grid
from bifrost_engine.replay.sweep import Finished, Outcome, Task, sweep

distributed = pytest.importorskip("distributed")

THRESHOLD = "gates.state.delta.threshold_hedge_shares"
AXES = {THRESHOLD: [15, 40, 90]}
SET = f"--set={THRESHOLD}=15,40,90"


LOCAL = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two worker processes on this host, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCAL],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate()


@pytest.fixture
def here(tmp_path: Path) -> Source:
    quotes = write_quotes(tmp_path / "day.csv", market(4, interval_ms=500))
    return Source(config_path=write_config(tmp_path / "bifrost.yaml"), data=quotes)


def task_with(load: Any, folder: Path) -> Task:
    folder.mkdir()
    return Task(load=load, data=map_data(DataSet(load.data), folder))


def given(source: Source, *further: str) -> list[str]:
    return ["sweep", "--config", str(source.config_path), "--data", str(source.data), SET, *further]


def test_workers_come_to_the_same_as_this_process(
    cluster: str, here: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(given(here, "--json", "--dask", cluster, "--out", str(tmp_path / "there"))) == 0
    there = json.loads(capsys.readouterr().out)
    assert run(given(here, "--json", "--jobs", "1", "--out", str(tmp_path / "here"))) == 0
    assert json.loads(capsys.readouterr().out) == there
    assert len({point["figures"]["orders"] for point in there}) > 1
    tables = [(tmp_path / name / "sweep.parquet").read_bytes() for name in ("here", "there")]
    assert tables[0] == tables[1]


def test_a_worker_that_is_killed_at_a_point_costs_none(cluster: str, here: Source, tmp_path: Path):
    graves = tmp_path / "graves"
    graves.mkdir()
    load = Deadly(
        config_path=here.config_path, data=here.data, key=THRESHOLD, value=40, deaths=1, graves=graves
    )
    with on_cluster(cluster) as runner:
        there = sweep(task_with(load, tmp_path / "mapped"), list(grid(AXES)), Finished(tmp_path), runner)
    assert len(list(graves.iterdir())) == 1
    assert there == sweep(task_with(here, tmp_path / "again"), list(grid(AXES)), Finished(tmp_path / "again"))


def test_a_scheduler_that_is_not_there_is_told_soon(here: Source, tmp_path: Path):
    arguments = given(here, "--dask", "tcp://127.0.0.1:9", "--out", str(tmp_path / "out"))
    command = [sys.executable, "-m", "bifrost_engine.cli", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "--dask tcp://127.0.0.1:9: no scheduler answers there" in ended.stderr


# --- hosts that differ -------------------------------------------------------------------------
#
# Two hosts: processes with working directories of their own, and paths that lead through these.

THROUGH = Path("/proc/self/cwd")


class Hosts:
    """A scheduler and workers, each a process with a working directory of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def _start(self, *arguments: str, cwd: Path, **environ: str) -> None:
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:], "--no-dashboard"]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ}
        self.processes.append(subprocess.Popen(command, cwd=cwd, env=environ, stderr=subprocess.DEVNULL))

    def start(self, *folders: Path, **environ: str) -> str:
        """Start a scheduler and a worker in each folder, and return the scheduler's address."""
        told = self._folder / "scheduler.json"
        file = f"--scheduler-file={told}"
        self._start("dask_scheduler", file, "--host=127.0.0.1", "--port=0", cwd=self._folder)
        for folder in folders:
            self._start("dask_worker", file, "--no-nanny", "--nthreads=2", cwd=folder, **environ)
        wait_for(lambda: told.exists() and told.read_text(), "for the scheduler", 120)
        address: str = json.loads(told.read_text())["address"]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(len(folders), timeout=120)
        return address

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.end()


def host(folder: Path, seed: int = 7) -> Path:
    """Return a folder that is a host: a recording and a configuration, under the paths that all use."""
    folder.mkdir()
    write_quotes(folder / "day.csv", market(4, interval_ms=500, seed=seed))
    write_config(folder / "bifrost.yaml")
    return folder


def swept(address: str, *further: str) -> int:
    source = Source(config_path=THROUGH / "bifrost.yaml", data=THROUGH / "day.csv")
    return run(given(source, "--dask", address, "--out", str(THROUGH / "out"), *further))


def test_hosts_with_copies_of_the_data_come_to_the_same_as_one(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ours = host(tmp_path / "client")
    address = hosts.start(host(tmp_path / "one"), host(tmp_path / "two"))
    monkeypatch.chdir(ours)
    assert swept(address) == 0
    alone = Source(config_path=ours / "bifrost.yaml", data=ours / "day.csv")
    assert run(given(alone, "--jobs=1", "--out", "alone")) == 0
    assert (ours / "out/sweep.parquet").read_bytes() == (ours / "alone/sweep.parquet").read_bytes()
    assert [path.name for path in tmp_path.rglob(".quotes-*")] == [], "the copies that were read are gone"


def test_hosts_that_would_come_to_something_else_are_named(
    hosts: Hosts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    ours = host(tmp_path / "client")
    without = host(tmp_path / "without")
    (without / "day.csv").unlink()
    other_data = host(tmp_path / "data", seed=8)
    other_settings = host(tmp_path / "settings")
    write_config(other_settings / "bifrost.yaml", symbol="NVDA", order={"order_type": "limit"})
    address = hosts.start(without, other_data, other_settings)
    monkeypatch.chdir(ours)
    assert swept(address) == 2
    told = capsys.readouterr().err
    lines = [line for line in told.splitlines() if "worker tcp://" in line]
    assert len(lines) == 3, told
    assert sum(f"{THROUGH}/day.csv: no such file or folder" in line for line in lines) == 1
    assert sum("day.csv has SHA-256" in line for line in lines) == 1
    assert sum("order.order_type is 'limit' there, 'market' here" in line for line in lines) == 1
    assert not (ours / "out/sweep.parquet").exists()


def test_another_version_of_the_engine_is_named(
    hosts: Hosts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    ours, there = host(tmp_path / "client"), host(tmp_path / "there")
    told = tmp_path / "site" / "bifrost_engine-9.9.dist-info" / "METADATA"
    told.parent.mkdir(parents=True)
    told.write_text("Metadata-Version: 2.1\nName: bifrost-engine\nVersion: 9.9\n")
    address = hosts.start(there, PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), *sys.path]))
    monkeypatch.chdir(ours)
    assert swept(address) == 2
    assert "bifrost-engine is 9.9 there" in capsys.readouterr().err


def test_a_worker_that_is_lost_while_it_makes_ready_is_waited_for_no_more(
    hosts: Hosts, here: Source, tmp_path: Path
):
    folders = [tmp_path / name for name in ("lives", "dies")]
    for folder in folders:
        folder.mkdir()
    address = hosts.start(*folders)
    task = task_with(
        DeadlyIn(config_path=here.config_path, data=here.data, folder=folders[1]), tmp_path / "mapped"
    )
    with on_cluster(address) as runner:
        there = sweep(task, list(grid(AXES)), Finished(tmp_path), runner)
    assert hosts.processes[2].wait(60) < 0
    assert there == sweep(task_with(here, tmp_path / "again"), list(grid(AXES)), Finished(tmp_path / "again"))


def test_a_scheduler_that_is_lost_ends_the_sweep_and_keeps_what_had_finished(
    hosts: Hosts, here: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    address = hosts.start(tmp_path)
    task = task_with(here, tmp_path / "mapped")
    told: list[Outcome] = []

    def lose(outcome: Outcome, _is_new: bool) -> None:
        told.append(outcome)
        client = distributed.default_client()
        if len(told) == 1:
            wait_for(lambda: all(each.status == "finished" for each in list(client.futures.values())))
        else:
            hosts.processes[0].kill()
            wait_for(lambda: client.status != "running", "for Dask to notice")

    points = list(grid({THRESHOLD: list(range(15, 45))}))
    with pytest.raises(BifrostError, match="the scheduler was lost") as lost, on_cluster(address) as runner:
        sweep(task, points, Finished(tmp_path), runner, lose)
    assert "run_there" not in str(lost.value), "a thousand names would hide what to do"
    kept = list((tmp_path / "points").iterdir())
    assert len(kept) == len(told) == 2
    assert [outcome.error for outcome in told] == [None, None], "what is lost hasn't failed"
    assert "Failed to reconnect" not in caplog.text, "nobody waits for what was lost"


def test_a_scheduler_that_is_lost_after_the_last_point_costs_nothing(
    hosts: Hosts, here: Source, tmp_path: Path
):
    address = hosts.start(tmp_path)
    points = list(grid(AXES))
    with on_cluster(address) as runner:
        there = sweep(task_with(here, tmp_path / "mapped"), points, Finished(tmp_path), runner)
        hosts.processes[0].kill()
    assert [outcome.error for outcome in there] == [None] * len(points)
