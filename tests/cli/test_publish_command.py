from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.hub_server import Hub, loopback_hub
from helpers.publications import publication

from gpunet.cli.main import main
from gpunet.core.files import sha256_of
from gpunet.errors import PublishError, UsageError
from gpunet.zoo.publishing.layout import LAYOUT
from gpunet.zoo.publishing.publish import publish_entry


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with loopback_hub(monkeypatch) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish_entry(tmp_path / "zoo", publication())


def test_a_dry_run_prints_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["publish", str(folder), "--push-to-hub", "me/net", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "bytes", "SHA-256"]
    assert [line.split() for line in lines[2:8]] == [
        [name, f"{(folder / name).stat().st_size:,}", sha256_of(folder / name)] for name in sorted(LAYOUT)
    ]
    total = sum((folder / name).stat().st_size for name in LAYOUT)
    assert lines[-1] == f"6 files, {total:,} bytes would go to me/net"


def test_json_is_json_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["publish", str(folder), "--push-to-hub", "me/net", "--dry-run", "--private", "--json"])
    said = capsys.readouterr()
    plan = json.loads(said.out)
    assert (plan["repo_id"], plan["private"], plan["dry_run"], plan["commit_url"]) == ("me/net", True, True, None)
    assert [each["path"] for each in plan["files"]] == sorted(LAYOUT)
    assert said.err == ""


def test_an_upload_prints_its_commit(
    folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "y" * 34)
    main(["publish", str(folder), "--push-to-hub", "me/net"])
    assert capsys.readouterr().out.splitlines()[-1].endswith(f" bytes: {hub.commit_url}")
    assert set(hub.files) == set(LAYOUT)
    assert hub.tokens == {"Bearer hf_" + "y" * 34}


def test_a_folder_without_an_entry(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="is no published entry: it has no README") as error:
        main(["publish", str(tmp_path), "--push-to-hub", "me/net", "--dry-run"])
    assert error.value.exit_code == 4


def test_the_repository_must_be_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="--push-to-hub"):
        main(["publish", str(folder)])
