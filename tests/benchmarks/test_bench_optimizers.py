from __future__ import annotations

import gzip
import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from optimizer_benchmark import standings

from gpunet.errors import InvalidArgumentError


@pytest.fixture(scope="module")
def bench():
    return importlib.import_module("bench_optimizers")


@pytest.fixture
def nas_file(tmp_path: Path) -> Path:
    entries = {
        f"{a}{b}{c}{d}": {"flops": 100 * a + 10 * b + c, "mean_acc": 90 + a - b + 0.1 * c + 0.01 * d}
        for a, b, c, d in itertools.product(range(3), repeat=4)
    }
    path = tmp_path / "nas.json.gz"
    path.write_bytes(gzip.compress(json.dumps(entries).encode()))
    return path


def result(*regret: float) -> dict:
    return {"regret": list(regret), "proposal_cpu_s": [0.1] * len(regret), "memory_mib": 1.0}


def test_ranks_are_within_a_problem_and_a_seed():
    runs = {
        ("a", "ours", 0): result(3, 1), ("a", "x", 0): result(2, 2), ("a", "y", 0): result(5, 2),
        ("a", "ours", 1): result(9, 9), ("a", "x", 1): result(1, 8),
    }  # fmt: skip
    assert standings.ranks_of(runs) == {"ours": [1, 2], "x": [2.5, 1], "y": [2.5]}
    low, high = standings.interval([1, 2, 3, 2])
    assert 1 <= low < 2 < high <= 3


def test_a_verdict_is_against_the_best_other():
    finals = {"ours": np.arange(10.0), "x": np.arange(10.0) + 100, "y": np.arange(10.0) + 50}
    assert standings.verdict(finals, "ours").startswith("ahead of y")
    assert standings.verdict(finals, "x").startswith("behind ours")
    assert standings.verdict({"ours": finals["ours"], "same": finals["ours"]}, "ours").startswith("level with same")
    assert standings.verdict({"ours": finals["ours"]}, "ours") == ""
    tied = {"ours": np.zeros(10), "often": np.array([0.0] * 6 + [0.02] * 4)}  # equal medians
    assert standings.verdict(tied, "often").startswith("behind ours")
    assert standings.verdict(tied, "ours").startswith("ahead of often")


def test_tiers_part_the_networks_by_flops(bench, nas_file: Path):
    data = bench.Data(bench.read_nas_bench(nas_file), tiers=3)
    points = []
    for name in bench.finite_problems(data)[1:]:
        problem = bench.problem_of(name, 0, data)
        points.append(problem.domain.vectors)
        assert min(problem.regret(point) for point in problem.domain.vectors) == 0
        assert problem.domain.size == 27
    assert (points[0][:, 0] == 0).all()
    assert (points[2][:, 0] == 2).all()
    whole = bench.problem_of("nas", 0, data)
    assert whole.domain.size == 81
    assert whole.regret(np.array([2, 0, 2, 2])) == 0


@pytest.mark.parametrize("name", ["random", "sobol", "evolution", "tpe", "cma_es", "lamcts", "gp_bo"])
def test_every_optimizer_runs(bench, name: str):
    found = bench.run((f"ackley-{3}", name, 0), 6, bench.Data())
    assert len(found["regret"]) == len(found["proposal_cpu_s"]) == 6
    assert min(found["regret"]) > 0


@pytest.mark.parametrize("name", ["tpe", "lamcts"])
def test_a_mixed_study_is_asked_of_both(bench, name: str):
    found = bench.run(("mixed", name, 0), 9, bench.Data())
    assert len(found["regret"]) == 9
    assert 0 < min(found["regret"]) < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optuna_gp", "botorch"])
def test_every_slow_optimizer_runs(bench, name: str):
    assert len(bench.run(("levy-2", name, 0), 22, bench.Data())["regret"]) == 22


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nas", "nas-tier0"])
def test_botorch_runs_on_finite_domains(bench, nas_file: Path, name: str):
    data = bench.Data(bench.read_nas_bench(nas_file), tiers=2)
    found = bench.run((name, "botorch", 0), 13, data)["regret"]
    assert len(found) == 13
    assert min(found) < found[0]


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(bench, nas_file: Path, tmp_path: Path, capsys):
    kept, plot = tmp_path / "runs.json", tmp_path / "regret.png"
    some = ["--functions", "ackley", "--dimensions", "2", "--budget", "5", "--optimizers", "random", "sobol"]
    bench.main([*some, "--seeds", "1", "--json", str(kept)])
    first = json.loads(kept.read_text(encoding="utf-8"))
    assert set(first["runs"]) == {"ackley-2/random/0", "ackley-2/sobol/0"}
    assert "botorch" in first["versions"]
    first["runs"]["ackley-2/random/0"]["regret"][0] = 1e-9  # lost if it is run again
    kept.write_text(json.dumps(first), encoding="utf-8")
    capsys.readouterr()
    bench.main([*some, "--seeds", "2", "--jobs", "2", "--json", str(kept), "--plot", str(plot),
                "--nas-bench-macro", str(nas_file), "--tiers", "1", "--functions"])  # fmt: skip
    bench.main([*some, "--seeds", "2", "--json", str(kept)])
    said = capsys.readouterr().out
    runs = json.loads(kept.read_text(encoding="utf-8"))["runs"]
    assert runs["ackley-2/random/0"]["regret"][0] == 1e-9
    assert len(runs) == 4 + 8
    assert "found the best" in said
    assert "mean rank" in said
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_longer_runs_are_compared_at_the_budget_asked_for(bench, tmp_path: Path, capsys):
    kept = tmp_path / "runs.json"
    runs = {"ackley-2/random/0": result(5, 4, 1), "ackley-2/sobol/0": result(3, 3)}
    kept.write_text(json.dumps({"versions": {"gpunet": "0.0.1"}, "runs": runs}), encoding="utf-8")
    bench.main(["--functions", "ackley", "--dimensions", "2", "--budget", "2", "--optimizers", "random", "sobol",
                "--seeds", "1", "--json", str(kept)])  # fmt: skip
    said = capsys.readouterr()
    assert "has runs with gpunet 0.0.1; they are not repeated" in said.err
    ranks = [line.split()[:2] for line in said.out.splitlines() if line.startswith(("random", "sobol"))][-2:]
    assert ranks == [["sobol", "1.00"], ["random", "2.00"]]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--functions", "hartmann6", "--dimensions", "5"], "hartmann6 has 6 dimensions, more than the 5"),
        (["--plot", "x.txt"], "must end in .png, .svg, .pdf, but got 'x.txt'"),
        (["--nas-bench-macro", "nothing.json"], "There is no file nothing.json"),
        (["--held-out", "nothing.csv"], "There is no file nothing.csv"),
        (["--json", __file__], "must be a file that this command wrote, but .* is none"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(bench, arguments: list[str], text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        bench.main(arguments)


@pytest.mark.parametrize("option", ["--budget", "--seeds", "--jobs", "--tiers", "--dimensions"])
def test_numbers_are_positive(bench, option: str, capsys):
    with pytest.raises(SystemExit):
        bench.main([option, "0"])
    assert "'0' is no whole number of 1 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_fails_is_named(bench):
    with pytest.raises(SystemExit, match="ackley-2/nobody/0 failed; its traceback stands above"):
        list(bench.all_of([("ackley-2", "nobody", 0)], {"ackley-2": 3}, bench.Data(), 1))
