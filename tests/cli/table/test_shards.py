from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.tables import CONDITIONS, KEYS, figures

from gpunet import runtime
from gpunet.cli import launching
from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError
from gpunet.latency.records import NetworkLatency
from gpunet.latency.table import LatencyTable
from gpunet.launch.child import Job
from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.stage_choices import StageChoices

TINY = ConvSpace(
    (16,), (8,),
    (StageChoices("conv", 2, None, (3,), (1, 2), ("relu",)),
     StageChoices("irb", 2, (8,), (3, 5), (1,), ("relu",), (2,), (False,))),
    head_filters=16,
)  # fmt: skip
CPU = ["-r", "onnxruntime", "--threads", "1"]


def shards_of(table: Path) -> list[str]:
    found = (path.name for path in table.parent.glob(f"{table.name}.shard-*"))
    return sorted(name for name in found if not name.endswith(("-wal", "-shm")))


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("gpunet.cli.table.shards.available_threads", lambda: 4)
    return tmp_path / "table.sqlite"


class Builders:
    """In place of processes: each fills its own shard with the figures of the keys that belong to it."""

    def __init__(self, failing: Sequence[int] = (), leaves: bool = False) -> None:
        self.failing, self.leaves = failing, leaves
        self.jobs: Sequence[Job] = ()
        self.known: list[int] = []

    def __call__(self, jobs: Sequence[Job], **where: Any) -> None:
        self.jobs = jobs
        for number, job in enumerate(jobs):
            with LatencyTable(Path(job.command[5]), CONDITIONS) as shard:
                self.known.append(len(shard))
                for key in KEYS[number :: len(jobs)]:
                    if KEYS.index(key) in self.failing:
                        shard.add_failure(key, "no kernel")
                    else:
                        shard.add(key, figures(1.0))
                if number == 0:
                    shard.add_network(KEYS[:3], NetworkLatency(5.5, 5.75, 10, "2026-11-24T10:00:00Z"))
        if self.leaves:
            raise SystemExit(75)


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> Builders:
    made = Builders()
    monkeypatch.setattr(launching, "run_jobs", made)
    return made


def test_shards_become_one_table_and_their_files_go(table: Path, builders: Builders, capsys: Any):
    main(["table", "shards", str(table), "--shards", "3", *CPU, "--no-recheck", "--lone", "--networks", "1"])
    assert capsys.readouterr().out == f"{table}: 20 layers and 1 networks added, 0 layers failed\n"
    assert [path.name for path in table.parent.iterdir() if "shard" in path.name] == []
    with LatencyTable(table) as merged:
        assert len(merged) == len(KEYS)
        assert len(merged.networks()) == 1
    one, two, three = builders.jobs
    assert [job.name for job in builders.jobs] == [f"table.sqlite.shard-{n}" for n in (1, 2, 3)]
    assert list(two.command[3:]) == [
        "table", "build", f"{table}.shard-2", "--until-eof", "--shard", "2/3", "--networks", "1",
        "--lone", "--runtime", "onnxruntime", "--threads", "1", "--no-recheck",
    ]  # fmt: skip
    assert one.environment == three.environment == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    assert one.done_codes == (0, 6)


def test_a_second_call_knows_what_the_first_measured(table: Path, builders: Builders, capsys: Any):
    builders.leaves = True
    with pytest.raises(SystemExit) as left:
        main(["table", "shards", str(table), "--shards", "3", *CPU])
    assert left.value.code == 75
    assert shards_of(table) == [f"table.sqlite.shard-{number}" for number in (1, 2, 3)]
    assert not table.exists()
    builders.leaves = False
    main(["table", "shards", str(table), "--shards", "2", *CPU])
    assert builders.known == [0, 0, 0, len(KEYS), len(KEYS)]
    assert shards_of(table) == []
    assert "0 layers and 0 networks added" in capsys.readouterr().out
    with LatencyTable(table) as merged:
        assert len(merged) == len(KEYS)


def test_layers_that_failed_are_told_and_the_shards_stay(table: Path, builders: Builders, capsys: Any):
    builders.failing = (1, 5)  # both of the second shard
    with pytest.raises(SystemExit) as failed:
        main(["table", "shards", str(table), "--shards", "2", *CPU])
    assert failed.value.code == 6
    said = capsys.readouterr()
    assert "18 layers and 1 networks added, 2 layers failed" in said.out
    assert f"gpunet table show {table}.shard-2 --failures says why" in said.err
    assert len(shards_of(table)) == 2
    with pytest.raises(SystemExit):
        main(["table", "shards", str(table), "--shards", "2", "--json", *CPU])
    told = json.loads(capsys.readouterr().out)
    assert (told["error"], told["failed"], told["table"]) == ("failed", 2, str(table))
    assert told["hint"] == f"gpunet table show {table}.shard-2 --failures says why."
    builders.failing = ()
    main(["table", "shards", str(table), "--shards", "2", "--json", *CPU])
    told = json.loads(capsys.readouterr().out)
    assert told == {"table": str(table), "shards": 2, "added": 2, "networks": 0, "failed": 0}
    assert shards_of(table) == []


def test_other_files_beside_the_table_stay(table: Path, builders: Builders):
    other = table.with_name(f"{table.name}.shard-notes")
    other.touch()
    main(["table", "shards", str(table), "--shards", "1", *CPU])
    assert shards_of(table) == [other.name]


def test_on_gpus_each_has_its_own(table: Path, builders: Builders, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr(type(runtime.get("onnxruntime")), "device", "gpu")
    main(["table", "shards", str(table), "--shards", "2", "-r", "onnxruntime"])
    assert [job.environment for job in builders.jobs] == [{"CUDA_VISIBLE_DEVICES": name} for name in ("3", "5")]
    assert "--threads" not in builders.jobs[0].command


def test_on_a_cluster_they_are_tasks(table: Path, monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, Any] = {}

    def run_on_ray(jobs: Sequence[Job], **options: Any) -> bool:
        asked.update(options, environments=[job.environment for job in jobs])
        return True

    monkeypatch.setattr("gpunet.launch.ray.run_on_ray", run_on_ray)
    with pytest.raises(SystemExit) as left:
        main(["table", "shards", str(table), "--shards", "8", "-r", "onnxruntime", "--cluster", "ray",
              "--gpus-per-shard", "1", "--address", "head:6379"])  # fmt: skip
    assert left.value.code == 75
    asked.pop("say")
    assert asked.pop("should_stop")() is False
    assert asked == {"address": "head:6379", "gpus": 1.0, "cpus": 1, "environments": [{}] * 8}


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("gpu", None)])
def test_tasks_of_a_cluster_need_a_gpu_where_the_runtime_does(
    device: str, gpus: float | None, table: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Any] = []
    monkeypatch.setattr(type(runtime.get("onnxruntime")), "device", device)

    def run_on_ray(jobs: Sequence[Job], **options: Any) -> bool:
        asked.append((jobs, options))
        return True

    monkeypatch.setattr("gpunet.launch.ray.run_on_ray", run_on_ray)
    monkeypatch.chdir(table.parent)
    with pytest.raises(SystemExit):
        main(["table", "shards", table.name, "--shards", "1", "-r", "onnxruntime", "--cluster", "ray"])
    [([job], options)] = asked
    assert options["gpus"] == gpus
    assert str(table.with_name(f"{table.name}.shard-1")) in job.command


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        (["--shards", "0", *CPU], "--shards must be an integer from 1 to 10,000, but got '0'", ""),
        (["--shards", "2", "-r", "onnxruntime"],
         "--shards 2 of onnxruntime, which computes on the processor, needs --threads 1 and 2 processors; 4 are",
         "Builders that share processors measure each other."),
        (["--shards", "5", *CPU], "needs --threads 1 and 5 processors; 4 are available", "Builders that share"),
        (["--shards", "2", *CPU, "--shard", "1/2"], "No such option: --shard", "'gpunet table shards --help'"),
        (["--shards", "2", *CPU, "--processes", "2"], "No such option: --processes", "'gpunet table"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(table: Path, builders: Builders, options: list[str], said: str, hint: str):
    with pytest.raises(InvalidArgumentError) as error:
        main(["table", "shards", str(table), *options])
    assert said in error.value.message
    assert error.value.hint.startswith(hint)
    assert not builders.jobs


@pytest.mark.slow
def test_real_builders_fill_a_table(table: Path, capsys: pytest.CaptureFixture[str]):
    space = table.with_name("space.json")
    space.write_text(json.dumps(TINY.to_dict()))
    wanted = set(TINY.lookup_plan(num_classes=10).keys())
    options = ["--space", str(space), "--classes", "10", *CPU, "--no-recheck"]
    main(["table", "shards", str(table), "--shards", "2", *options, "--max-layers", "2"])
    with LatencyTable(table) as some:
        assert 2 <= len(some) <= 4
        before = dict(some.rows())
    capsys.readouterr()
    main(["table", "shards", str(table), "--shards", "2", *options])
    assert f"{len(wanted) - len(before)} layers and 0 networks added, 0 layers failed" in capsys.readouterr().out
    with LatencyTable(table) as whole:
        assert set(whole.layers()) == wanted
        assert before.items() <= dict(whole.rows()).items()
        assert whole.conditions.fingerprint.threads == 1
    assert shards_of(table) == []
