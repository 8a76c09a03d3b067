"""Another learner of a run in a process of its own: `python -m catzoo.zoo.training.rank_worker`.

Rank 0 starts it, with the recipe, the run's folder and its place on standard input.
"""

from __future__ import annotations

import sys
from typing import Any

from catzoo.zoo.system.job_of_parent import work_on


def _learn(recipe: dict[str, Any], run_dir: str, place: list[Any], path: list[str]) -> None:
    sys.path[:] = path  # an environment may be found from rank 0's folder only
    from catzoo.hparams import build_recipe
    from catzoo.zoo.catalogue.recipe_files import know_losses
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.training.ranks import Place
    from catzoo.zoo.training.train import train_recipe

    know_losses([recipe["value_loss"]["name"]])
    train_recipe(build_recipe(recipe, where="rank 0"), Run(run_dir), place=Place(*place))


if __name__ == "__main__":
    sys.exit(work_on(_learn, "train"))
