"""A run is one process, whatever a cluster's launcher has left in the environment."""

import os
import signal

import pytest
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from tiny_runs_for_tests import tiny

LAUNCHERS = {
    "Slurm": {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "sweep", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"},
    "torchrun": {
        "TORCHELASTIC_RUN_ID": "1", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "1",
        "MASTER_ADDR": "nowhere", "MASTER_PORT": "1",
    },
    "MPI": {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
    "LSF": {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_SIZE": "2"},
    "Kubeflow": {"KUBERNETES_PORT": "1", "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "nowhere"},
}  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_run_is_one_process_that_logs(tmp_path, monkeypatch, launcher):
    for name, value in LAUNCHERS[launcher].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as Lightning finds when it is imported there
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_text("somebody's")
    tiny("run", steps=100)
    assert max(file.stat().st_size for file in (tmp_path / "run/tensorboard").glob("events.*")) > 100
    assert rank_zero_only.rank == 1
    assert LAUNCHERS[launcher].items() <= os.environ.items()
    assert {path.name for path in tmp_path.iterdir()} == {"run", "hpc_ckpt_1.ckpt"}


def test_a_warning_before_the_time_limit_saves_and_leaves_nothing_else(tmp_path, monkeypatch):
    from catzoo.zoo.system.signals import Stopped

    for name, value in LAUNCHERS["Slurm"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "catzoo.agents.evaluate_agent", lambda *_, **__: os.kill(os.getpid(), signal.SIGUSR1) or [0.0]
    )
    with pytest.raises(Stopped) as stopped:
        tiny("run", steps=1000)
    assert stopped.value.signum == signal.SIGUSR1
    assert 200 <= stopped.value.step < 300
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
