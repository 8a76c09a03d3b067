"""Signals are noted from before Lightning's loop to after the last checkpoint."""

import os
import signal

import pytest

from catzoo.zoo.system.signals import STOPPING, WARNINGS, Stopped
from catzoo.zoo.training.stopping import Stopping


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_is_raised(signum):
    before = signal.getsignal(signum)

    def training():
        with Stopping() as stopping:
            assert not stopping()
            os.kill(os.getpid(), signum)
            assert stopping()
            try:
                os.kill(os.getpid(), signum)
            except KeyboardInterrupt:
                raise KeyboardInterrupt from None  # as Lightning does

    with pytest.raises(Stopped) as stopped:
        training()
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) is before


def test_one_that_comes_in_the_last_moment_is_noted_too():
    stopping = Stopping()
    with stopping:
        stopping.on_train_start(None, None)
        stopping.on_train_end(None, None)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopping.signum == signal.SIGTERM


@pytest.mark.parametrize("first", STOPPING)
@pytest.mark.parametrize("second", STOPPING)
def test_another_signal_and_another_warning_stop_nothing_at_once(first, second):
    if first == second and first not in WARNINGS:
        return
    with Stopping() as stopping:
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
    assert stopping.signum == first


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_what_was_ignored_stays_ignored(signum):
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        with Stopping() as stopping:
            stopping.on_train_start(None, None)
            os.kill(os.getpid(), signum)
            assert not stopping()
        assert signal.getsignal(signum) is signal.SIG_IGN
    finally:
        signal.signal(signum, before)
