"""The locked packages: a hash for each, no address of a registry, and choices that agree with each other."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
HASHED = ("requirements.lock", "requirements/cpu.lock", "requirements/uv.lock")
CUDA = re.compile(r"cuda-.*|nvidia-.*|triton")
"""What a machine without NVIDIA's GPUs has no use for."""


def locked(name: str) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Requirements of a lock with their hashes, by name and marker."""
    text = "\n".join(
        line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#")
    )
    entries = text.replace("\\\n", " ").splitlines()
    requirements = [
        (Requirement(entry.partition(" --hash=")[0]), frozenset(re.findall(r"--hash=(\S+)", entry)))
        for entry in entries
    ]
    return {
        f"{requirement.name};{requirement.marker}": (requirement, hashes)
        for requirement, hashes in requirements
    }


@pytest.mark.parametrize("name", HASHED)
def test_every_locked_package_has_one_version_and_hashes(name: str):
    requirements = locked(name)
    assert requirements
    for requirement, hashes in requirements.values():
        assert [one.operator for one in requirement.specifier] == ["=="], requirement
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


@pytest.mark.parametrize("name", [*HASHED, "requirements/cpu-torch.txt", "requirements/cuda.txt"])
def test_no_lock_names_an_address_or_an_option(name: str):
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", re.sub(r"^ +--hash=sha256:", "", text, flags=re.MULTILINE), re.MULTILINE)


def test_the_cpu_choice_is_the_lock_without_cuda_and_with_other_builds_of_torch():
    all_packages, cpu = locked("requirements.lock"), locked("requirements/cpu.lock")
    missing = {all_packages[key][0].name for key in all_packages.keys() - cpu.keys()}
    assert {key: all_packages[key] for key in cpu} == cpu
    assert {name for name in missing if not CUDA.fullmatch(name)} == {"torch", "torchvision"}
    assert not [key for key in cpu if CUDA.fullmatch(key.partition(";")[0])]
    torch = (ROOT / "requirements/cpu-torch.txt").read_text().split()
    assert torch == [str(all_packages[f"{name};None"][0]) for name in ("torch", "torchvision")]


def test_what_the_project_asks_for_is_locked_for_every_python_that_it_supports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [requirement for requirement, _ in locked("requirements.lock").values()]
    supported = [entry.rpartition(" ")[2] for entry in project["project"]["classifiers"]]
    assert supported == ["3.11", "3.12", "3.13"]
    asked = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    for python in supported:
        environment = {"python_version": python, "python_full_version": f"{python}.5"}
        for dependency in map(Requirement, asked):
            if dependency.marker and not dependency.marker.evaluate(environment):
                continue
            matching = [
                package
                for package in packages
                if package.name == dependency.name.lower()
                and (package.marker is None or package.marker.evaluate(environment))
            ]
            assert len(matching) == 1, (python, dependency)
            (version,) = matching[0].specifier
            assert dependency.specifier.contains(version.version), (python, dependency)


def commands_of_setup(backend: str) -> str:
    """What `make setup` would do on a new machine."""
    command = [
        "make",
        "--dry-run",
        "--always-make",
        "setup",
        f"UV_TORCH_BACKEND={backend}",
        "PYTHON=python3.11",
    ]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_set_up_installs_what_it_has_hashes_of():
    commands = commands_of_setup("")
    assert "--require-hashes -r requirements.lock" in commands
    assert "cpu" not in commands.replace("|cpu)", "").replace("only cpu is known", "")


def test_set_up_without_cuda_installs_torch_alone_without_hashes():
    commands = commands_of_setup("cpu")
    assert "--require-hashes -r requirements/cpu.lock" in commands
    assert "UV_TORCH_BACKEND=cpu $INSTALL -r requirements/cpu-torch.txt" in commands
    assert "requirements.lock" not in commands


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ({"python3.13": (3, 13)}, "python3.13"),
        ({"python3": (3, 13)}, "python3"),
        ({"python3": (3, 13), "python3.11": (3, 11)}, "python3.11"),
        ({"python3": (3, 10), "python3.12": (3, 12)}, "python3.12"),
        ({"python3.14": (3, 14)}, "python3.14"),
        ({"python3": (3, 15)}, ""),
        ({"python3": (3, 10)}, ""),
        ({}, ""),
    ],
)
def test_set_up_takes_a_python_that_is_supported(
    tmp_path: Path, versions: dict[str, tuple[int, int]], chosen: str
):
    for name, version in versions.items():
        command = tmp_path / name
        # It runs what `make` asks of it, and says that it is of another version.
        script = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{script}" "$2"\n')
        command.chmod(0o755)
    done = subprocess.run(
        [shutil.which("make") or "make", "--dry-run", "--always-make", "setup"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert f'test -n "{chosen}"' in done.stdout
