"""How fast the categorical losses are, beside what else computes them, on a GPU or a CPU.

| part | what is measured |
|---|---|
| throughput | HL-Gauss loss and gradient of [N, K] logits, beside eager, compiled, hard labels and a copy |
| td | the whole Bellman step on outputs [B, A, K]: latency at the batches of reinforcement learning |
| labels | what each label costs beside a hard one, at one size |

| file | what |
|---|---|
| `settings` | what may be asked for, and the cells that follow from it |
| `tasks` | the inputs of a cell, and in float64 what must come out |
| `baselines`, `sides` | what computes it |
| `timing`, `counters` | the clock; launches, operations, host syncs, memory |
| `results`, `table` | rows, their CSV and their text |
| `run`, `command` | the loop, and `python -m catzoo.kernels.bench` |

Needs nothing but torch. Other libraries come in from outside, as `Side`s.
"""

from catzoo.kernels.bench.results import COLUMNS, Row
from catzoo.kernels.bench.run import run_bench
from catzoo.kernels.bench.settings import BenchError, Settings
from catzoo.kernels.bench.sides import Side
from catzoo.kernels.bench.table import table

__all__ = ["COLUMNS", "BenchError", "Row", "Settings", "Side", "run_bench", "table"]
