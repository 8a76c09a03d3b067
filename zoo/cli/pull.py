"""`catzoo pull`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo pull me/dqn-CartPole-v1                       to runs/dqn-CartPole-v1
  catzoo pull me/dqn-CartPole-v1 --out theirs --revision v1
then, as with any run:
  catzoo eval runs/dqn-CartPole-v1
  catzoo train --from runs/dqn-CartPole-v1 --seed 7
it needs the extra `hub`: pip install 'catzoo[hub]'; a private model needs a login: hf auth login
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("repo", metavar="OWNER/NAME", help="a model that catzoo push made")
    parser.add_argument("--out", metavar="DIR", type=path, help="default runs/NAME; it must not be there")
    parser.add_argument(
        "--revision", metavar="NAME", help="a branch, a tag or a commit; default the main branch"
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo pull`."""
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.system.console import pasteable, say, waiting
    from catzoo.zoo.system.digits import with_interval

    with waiting(f"from {arguments.repo}"):
        from catzoo.zoo.training.hub import pull

        folder = pull(**vars(arguments))
    recipe, result = Run(folder).recipe(), Run(folder).result() or {}
    score = " ".join(with_interval(result["mean_return"], *result["interval_95"]))
    say(f"{folder}: {recipe.agent} with {recipe.value_loss.name} on {recipe.env}, mean return {score}")
    trust = ["--trust"] if ":" in recipe.env else []
    say(f"  {pasteable('catzoo', 'eval', folder, *trust)}")
    say(f"  {pasteable('catzoo', 'watch', folder, '--out', 'film.mp4', *trust)}")
