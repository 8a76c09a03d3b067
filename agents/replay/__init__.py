"""From rollouts to training batches.

| file | holds |
|---|---|
| `replay_buffer.py` | what agents use: everything below behind one door |
| `n_step.py` | rollouts to n-step transitions |
| `frames.py` | frame stacks, each frame stored once |
| `records.py` | TorchRL's storage as a ring of numbered rows |
| `window.py` | which transitions still have their frames |
| `uniform.py`, `prioritized.py` | samplers for TorchRL's buffer |
| `sum_tree.py` | leaves sampled in proportion to their priority |
| `size.py` | the memory that a replay will take |
| `dataset.py`, `dataset_kinds.py` | a dataset on disk: transitions, sequences or positions |
| `recorder.py` | writes transitions while a run trains |
| `dataset_replay.py` | samples a dataset, for agents that play nothing |
| `offline_replay.py`, `episode_replays.py` | the same by kind |
| `many_replays.py` | joins what is sampled from several datasets |
"""

from catzoo.agents.replay.dataset import Dataset, DatasetError, read_dataset, write_dataset
from catzoo.agents.replay.dataset_replay import DatasetReplay
from catzoo.agents.replay.episode_replays import PositionReplay, SequenceReplay
from catzoo.agents.replay.frames import FrameStorage, FrameStore
from catzoo.agents.replay.many_replays import ManyReplays
from catzoo.agents.replay.n_step import NStep, flat_tensors, nested_tensors
from catzoo.agents.replay.offline_replay import OfflineReplay
from catzoo.agents.replay.prioritized import Priorities, Prioritized
from catzoo.agents.replay.recorder import Recorder
from catzoo.agents.replay.replay_buffer import Replay
from catzoo.agents.replay.size import replay_bytes, transition_bytes
from catzoo.agents.replay.sum_tree import HostSumTree, SumTree, make_tree
from catzoo.agents.replay.uniform import Uniform

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetReplay",
    "FrameStorage",
    "FrameStore",
    "HostSumTree",
    "ManyReplays",
    "NStep",
    "OfflineReplay",
    "PositionReplay",
    "Priorities",
    "Prioritized",
    "Recorder",
    "Replay",
    "SequenceReplay",
    "SumTree",
    "Uniform",
    "flat_tensors",
    "make_tree",
    "nested_tensors",
    "read_dataset",
    "replay_bytes",
    "transition_bytes",
    "write_dataset",
]
