"""Folders of runs that nobody trained, with the scores and episodes that a test wants."""

from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training.evaluate import result_of


def made(path, scores, env="CartPole-v1", loss="c51", *, agent="dqn", preset=None, episodes=None, **changes):
    """A run folder.

    Args:
        path: the folder.
        scores: returns of its evaluation; none for a run that is not finished.
        env: the environment's id.
        loss: the value loss.
        agent: the agent.
        preset: the recipe's.
        episodes: (step, return) of its training.
        changes: over the recipe.
    """
    recipe = find_recipe(agent, env, loss, [changes], preset)
    run = Run(path)
    run.path.mkdir(parents=True)
    run.save_recipe(recipe)
    if episodes is not None:
        rows = "".join(f"{step},{score},10\n" for step, score in episodes)
        run.episodes.write_text(f"step,return,length\n{rows}")
    if scores:
        run.save_result({**result_of(recipe, scores), "train_return": 3.0})
    return run
