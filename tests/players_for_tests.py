"""A collector's players without processes: what is asked is done at once, in a copy of its own."""

import pickle
from typing import ClassVar

from catzoo.agents.collecting.players import LostPlayerError, Player


class LocalPlayer:
    """A player in this process; the share takes the way that it would take to another one."""

    made: ClassVar = []
    """All of a test's."""

    def __init__(self, share):
        self.share = share
        self.player = Player(pickle.loads(pickle.dumps(share)))
        self.dies = self.closed = False
        self.answers = []
        """To what was asked, in order; a process's wait in its pipe."""
        LocalPlayer.made.append(self)

    def ask(self, what, *arguments):
        try:
            self.answers.append(None if self.dies else (None, getattr(self.player, what)(*arguments)))
        except Exception as error:
            self.answers.append((error, None))

    def answer(self):
        found = self.answers.pop(0)
        if found is None:
            raise LostPlayerError("a collector has ended: exit status -9")
        error, value = found
        if error is not None:
            raise error
        return value

    def dismiss(self):
        self.dismissed = True

    def close(self, deadline):
        assert deadline > 0
        self.closed = True
        self.player.close()
