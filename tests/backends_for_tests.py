"""What `backend="auto"` takes on a CPU, for tests that try each implementation there."""

from collections.abc import Iterator

import pytest

from catzoo.kernels import backend, numba_path


def only(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For a fixture: "auto" takes this one, PyTorch's where it refuses; where it breaks, the test fails."""
    if name == "numba" and not numba_path.INSTALLED:
        pytest.skip("needs Numba")
    kept = {key: module for key, module in backend.IMPLEMENTATIONS.items() if key in (name, "torch")}
    monkeypatch.setattr(backend, "IMPLEMENTATIONS", kept)
    monkeypatch.setattr(backend, "_broken", {})
    yield
    assert not backend._broken
