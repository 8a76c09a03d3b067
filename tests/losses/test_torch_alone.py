"""`catzoo.losses` and `catzoo.kernels` with torch and without what the zoo stands on."""

import subprocess
import sys

WITHOUT = (
    "torchrl", "tensordict", "lightning", "pytorch_lightning", "gymnasium", "optuna", "numpy", "numba",
    "yaml", "scipy", "safetensors", "rich",
)  # fmt: skip
SCRIPT = f"""
import sys
sys.modules.update(dict.fromkeys({WITHOUT}))
import torch
import catzoo.kernels
from catzoo.losses import LOSSES
for kind in LOSSES.values():
    loss = kind()
    outputs = torch.zeros(4, 2, loss.num_outputs, requires_grad=True)
    action = torch.zeros(4, dtype=torch.int64)
    step, _ = loss.td(outputs, action, outputs.detach(), torch.rand(4), torch.ones(4))
    (step.sum() + loss(outputs, torch.rand(4, 2)).sum()).backward()
    assert outputs.grad.isfinite().all(), kind
print(*sorted(name for name in sys.modules if name.startswith("catzoo.") and name.count(".") == 1))
"""


def test_every_loss_learns_without_them():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["catzoo.kernels", "catzoo.losses", "catzoo.version"]
