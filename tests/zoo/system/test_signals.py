"""Being asked to stop is an exception, and what came before comes back."""

import os
import signal
import threading

import pytest

from catzoo.zoo.system.signals import STOPPING, WARNINGS, Stopped, stops_raise


@pytest.mark.parametrize("signum", STOPPING)
def test_a_signal_is_an_exception(signum):
    before = [signal.getsignal(number) for number in STOPPING]
    with pytest.raises(Stopped) as stopped, stops_raise():
        os.kill(os.getpid(), signum)
    assert stopped.value.signum == signum
    assert [signal.getsignal(number) for number in STOPPING] == before


def stopped_by(first, *others):
    """By which signal a process is stopped that gets others while it saves."""

    def saved():
        with stops_raise():
            try:
                os.kill(os.getpid(), first)
            finally:
                for signum in others:
                    os.kill(os.getpid(), signum)

    with pytest.raises(Stopped) as stopped:
        saved()
    return stopped.value


@pytest.mark.parametrize("signum", sorted(WARNINGS))
def test_a_warning_does_not_disturb_those_that_save(signum):
    assert stopped_by(signal.SIGTERM, signum, signum).signum == signal.SIGTERM
    assert stopped_by(signum, signum, signal.SIGTERM).signum == signum


def test_only_the_same_again_stops_at_once():
    first = stopped_by(signal.SIGINT, signal.SIGTERM)  # as a batch system kills a job
    assert (first.signum, first.__context__) == (signal.SIGINT, None)
    second = stopped_by(signal.SIGTERM, signal.SIGTERM)
    assert isinstance(second.__context__, Stopped)


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops_raise():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_that_no_signal_reaches_goes_on():
    went = []

    def work():
        with stops_raise():
            went.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert went == [before]
