"""How torch's threads wait for each other: said before torch is imported, unless somebody has said it."""

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("load", "said", "first", "expected"),
    [
        (99.0, {}, "", ["passive", None]),
        (0.5, {}, "", [None, None]),
        (99.0, {"OMP_WAIT_POLICY": "active"}, "", ["active", None]),
        (99.0, {"GOMP_SPINCOUNT": "1000"}, "", [None, "1000"]),
        (99.0, {}, "sys.modules['torch'] = sys;", [None, None]),
    ],
)
def test_threads_sleep_where_cores_are_taken(load, said, first, expected):
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    first = f"os.getloadavg = lambda: ({load}, 0.0, 0.0); {first}"
    script = f"import os, sys; {first} import catzoo; print([os.environ.get(name) for name in {NAMES}])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=clean | said, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(expected)


@pytest.mark.parametrize(
    "entry", ["zoo.cli.main", "zoo.launch.worker", "zoo.studies.task_worker", "kernels", "losses"]
)
def test_every_entry_says_so_before_torch(entry):
    script = (
        "import os, sys\n"
        "os.getloadavg = lambda: (99.0, 0.0, 0.0)\n"
        "class Look:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"  # seen; there is no need to wait for the rest
        "            sys.exit(os.environ.get('OMP_WAIT_POLICY') != 'passive')\n"
        "sys.meta_path.insert(0, Look())\n"
        f"import catzoo.{entry}\n"
        "import torch\n"
        "sys.exit('torch was not seen')"
    )
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    subprocess.run([sys.executable, "-c", script], env=clean, check=True)
