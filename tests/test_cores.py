"""How many cores there are to use, and as many threads."""

import os
from pathlib import Path

import pytest

from veclab import command_line
from veclab import cores as counted
from veclab.cores import cores, quota_of_cores


def write_quota(folder: Path, version: int, quota: object, period: int = 100_000) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version == 2:
        (folder / "cpu.max").write_text(f"{quota} {period}\n")
    else:
        (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (folder / "cpu.cfs_period_us").write_text(f"{period}\n")


@pytest.fixture
def groups(tmp_path, monkeypatch) -> Path:
    """Folders of groups that a system of 64 cores has."""
    monkeypatch.setattr(counted, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(counted, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(counted, "allowed_cores", lambda: 64)
    monkeypatch.setattr(command_line, "allowed_cores", lambda: 64)
    return tmp_path


@pytest.mark.parametrize(("version", "folder"), [(2, ""), (1, "cpu"), (1, "cpu,cpuacct")])
def test_the_quota_of_a_container_counts(version: int, folder: str, groups: Path) -> None:
    assert cores() == 64 and quota_of_cores() is None
    own = groups / "cgroup" / folder
    for quota, count in ((200_000, 2), (250_000, 3), (1_000, 1), (9_900_000, 64), (("-1", "max")[version - 1], 64)):
        write_quota(own, version, quota)
        assert cores() == count
    write_quota(own, version, 200_000, period=50_000)
    assert cores() == 4


@pytest.mark.parametrize(("version", "line"), [(2, "0::/slice/job/step"), (1, "4:cpu,cpuacct:/slice/job/step")])
def test_the_quotas_of_all_groups_around_the_process_count(version: int, line: str, groups: Path) -> None:
    (groups / "own").write_text(f"9:name=systemd:/\n5:cpuset:/others\n{line}\n")
    root = groups / "cgroup" / ("cpu,cpuacct" if version == 1 else "")
    write_quota(root / "slice" / "job" / "step", version, 800_000)
    assert cores() == 8
    write_quota(root / "slice", version, 400_000)
    assert cores() == 4
    write_quota(root / "others", version, 100_000)
    assert cores() == 4


def test_pytorch_has_no_more_threads_than_the_quota(groups: Path, monkeypatch) -> None:
    """By itself it has one for each core that the process may run on."""
    for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    command_line.bound_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    write_quota(groups / "cgroup", 2, 200_000)
    command_line.bound_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # the user's own stays
    command_line.bound_threads()
    assert os.environ["OMP_NUM_THREADS"] == "5"
