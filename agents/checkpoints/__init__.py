"""What a continued run needs, on disk.

| file | holds |
|---|---|
| `checkpoints.py` | saving and restoring a run's agent with all that feeds it |
| `state_files.py` | nested state as JSON and safetensors |
| `journal.py` | rings of rows, written incrementally |
| `seal.py` | a folder that is whole, or not read |
| `parts_of_ranks.py` | where each of many learners has its part, and how parts go to another number of them |
"""

from catzoo.agents.checkpoints.checkpoints import Checkpoints
from catzoo.agents.checkpoints.journal import Journal
from catzoo.agents.checkpoints.seal import BrokenSealError

__all__ = ["BrokenSealError", "Checkpoints", "Journal"]
