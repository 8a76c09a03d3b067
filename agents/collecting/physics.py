"""The state of a MuJoCo simulation, so that it goes on bit for bit.

MuJoCo's own state for integration (positions, velocities, activations, time, warm start, controls) decides
the future of the bodies. It does not hold what the last step left to be read, such as the places of bodies
and the forces between them, with which rewards compare the next step's. All arrays are saved too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

INTEGRATION, READINGS = "integration", "readings"


def is_physics(thing: Any) -> bool:
    """Whether a thing is MuJoCo's `MjData`; imports nothing, as none can be without its package."""
    kind = getattr(sys.modules.get("mujoco"), "MjData", None)  # a folder of that name is a module, too
    return kind is not None and isinstance(thing, kind)


def physics_state(data: Any) -> dict[str, Any]:
    """The state of an `MjData`, as arrays."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    integration = np.empty(mujoco.mj_stateSize(data.model, kind))
    mujoco.mj_getState(data.model, data, integration, kind)
    return {INTEGRATION: integration, READINGS: {name: array.copy() for name, array in _readings(data)}}


def restore_physics(data: Any, state: Mapping[str, Any]) -> None:
    """Puts an `MjData` of the same model where `physics_state` was taken.

    Raises:
        ValueError: a state of another model.
    """
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    integration, saved = np.asarray(state[INTEGRATION]), state[READINGS]
    own = dict(_readings(data))
    shapes = {name: (array.shape, array.dtype) for name, array in own.items()}
    if integration.shape != (mujoco.mj_stateSize(data.model, kind),) or shapes != {
        name: (array.shape, array.dtype) for name, array in saved.items()
    }:
        raise ValueError("the saved simulation is of another model, or of another version of MuJoCo")
    mujoco.mj_setState(data.model, data, integration, kind)
    mujoco.mj_forward(data.model, data)  # finds the contacts, which have no fixed place to be copied to
    mujoco.mj_setState(data.model, data, integration, kind)
    for name, array in own.items():
        array[...] = saved[name]


def _readings(data: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of a size that the model decides, which those of contacts are not.

    Of floats alone: a stranger's whole numbers would have MuJoCo read elsewhere.
    """
    import mujoco

    empty = mujoco.MjData(data.model)
    for name in dir(empty):
        array = None if name.startswith("_") else getattr(empty, name)
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size:
            yield name, getattr(data, name)
