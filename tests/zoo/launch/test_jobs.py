"""What a job asks for, and is told."""

from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.launch.jobs import Job


def test_a_learner_has_the_cores_that_its_collectors_have_not(tmp_path):
    recipe = find_recipe("dqn", "CartPole-v1", overrides=[{"num_envs": 4, "collect": {"workers": 4}}])
    job = Job(recipe, Run(tmp_path / "run"), tmp_path / "log", {"overrides": []})
    assert job.needs.cpus == 5
    assert job.words(5)["overrides"] in ([], [{"compute": {"threads": 1}}])
    assert job.words(2)["overrides"] in ([], [{"compute": {"threads": 1}}])
