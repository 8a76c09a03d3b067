"""What a cluster costs: the job that is measured is one, and a row says what was seen."""

from catzoo.zoo.bench.cluster_overhead import Nothing, _one, _row
from catzoo.zoo.launch.processes import Processes


def test_a_job_that_does_nothing_ends_well(tmp_path):
    assert _one(Processes(1), Nothing(tmp_path)) > 0
    assert (tmp_path / "log").read_text().endswith("nothing\n")


def test_a_row_has_the_median_and_the_ends():
    assert _row("ray", [3.0, 1.0, 8.0]) == {
        "what": "ray", "times": 3, "median_s": 3.0, "least_s": 1.0, "most_s": 8.0
    }  # fmt: skip
