"""Jobs that are a few lines of Python. Imports nothing heavy: a cluster's nodes import it too."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from catzoo.zoo.launch.jobs import Needs


@dataclass(frozen=True)
class Script:
    """A job that is a script, which is told its folder; it has a result if it ends well."""

    name: str
    script: str
    root: Path
    needs: Needs = Needs()  # noqa: RUF009 — it is frozen

    @property
    def log(self):
        return self.root / f"{self.name}.log"

    @property
    def command(self):
        return [sys.executable, "-c", self.script, str(self.makes)]

    @property
    def makes(self):
        return self.root / self.name

    @property
    def reads(self):
        return (self.makes,)

    @property
    def holds(self):
        return self.makes

    def moved(self, root):
        return dataclasses.replace(self, root=root)

    def title(self):
        return self.name

    def words(self, threads):
        return {"threads": threads}

    def has_result(self):
        return True


class Told:
    """Hears of jobs, and writes it down."""

    def __init__(self, folder, **scripts):
        self.waiting = [Script(name, script, folder) for name, script in scripts.items()]
        self.said, self.at_work, self.most = [], set(), 0

    def begin(self, job, again):
        self.said.append((job.name, "again" if again else "begins"))
        self.at_work.add(job.name)
        self.most = max(self.most, len(self.at_work))

    def end(self, job, ending, again):
        self.said.append((job.name, ending, again))
        self.at_work.remove(job.name)
