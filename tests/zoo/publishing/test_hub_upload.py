"""The upload of a published entry, by the hub's own client, to a loopback hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.hub_server import Hub, loopback_hub
from helpers.publications import NAME, publication

from gpunet.core.files import sha256_of
from gpunet.errors import PublishError
from gpunet.zoo.publishing.hub import PushPlan, push_to_hub
from gpunet.zoo.publishing.layout import LAYOUT
from gpunet.zoo.publishing.publish import publish_entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish_entry(tmp_path / "zoo", publication())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with loopback_hub(monkeypatch) as made:
        yield made


def test_a_dry_run_lists_the_files_and_contacts_nobody(folder: Path, hub: Hub) -> None:
    plan = push_to_hub(folder, "me/net", dry_run=True, private=True)
    assert [each.path for each in plan.files] == sorted(LAYOUT)
    for each in plan.files:
        assert (each.size_bytes, each.sha256) == ((folder / each.path).stat().st_size, sha256_of(folder / each.path))
    assert plan.size_bytes == sum((folder / name).stat().st_size for name in LAYOUT)
    assert (plan.dry_run, plan.private, plan.commit_url, plan.repo_id) == (True, True, None, "me/net")
    assert hub.server.requests == []
    assert json.loads(json.dumps(plan.to_dict()))["files"][0]["path"] == "README.md"


def test_an_upload_is_one_commit_of_the_entrys_files_and_no_others(folder: Path, hub: Hub) -> None:
    (folder / "checkpoint.pt").write_bytes(b"not for the world")
    (folder / "deep").mkdir()
    (folder / "deep" / "README.md").write_text("not this one")
    plan = push_to_hub(folder, "me/net", token="hf_" + "x" * 34, private=True)
    assert {path: content == (folder / path).read_bytes() for path, content in hub.files.items()} == dict.fromkeys(
        LAYOUT, True
    )
    assert [commit["summary"] for commit in hub.commits] == [f"Publish {NAME}"]
    (made,) = hub.created
    assert (made["organization"], made["name"]) == ("me", "net")
    assert made.get("visibility") == "private" or made.get("private") is True
    assert hub.tokens == {"Bearer hf_" + "x" * 34}
    assert plan.commit_url == hub.commit_url
    assert isinstance(plan, PushPlan)
    assert plan.dry_run is False


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "Log in with a token that may write to me/net: hf auth login"),
        (403, "Log in with a token that may write to me/net: hf auth login"),
        (404, "Check the name me/net; and log in: hf auth login."),
        (400, "Its answer says what it does not take."),
        (500, "The hub is in trouble: try again later."),
    ],
)
def test_a_refusal_says_what_to_do(folder: Path, hub: Hub, status: int, hint: str) -> None:
    hub.refusal = status
    with pytest.raises(PublishError, match=r"me/net could not be uploaded: \w+Error: ") as caught:
        push_to_hub(folder, "me/net", token="hf_" + "x" * 34)
    assert caught.value.hint.startswith(hint)
    assert caught.value.__cause__ is not None
    assert hub.files == {}


def test_a_branch_that_is_not_there(folder: Path, hub: Hub) -> None:
    with pytest.raises(PublishError, match="me/net could not be uploaded") as caught:
        push_to_hub(folder, "me/net", token="hf_" + "x" * 34, revision="draft")
    assert "that the branch draft is there" in caught.value.hint
    assert "POST /api/models/me/net/preupload/draft" in hub.server.requests


def test_a_hub_that_is_not_there(folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(PublishError, match="me/net could not be uploaded") as caught:
        push_to_hub(folder, "me/net", token="hf_" + "x" * 34)
    assert caught.value.hint.startswith("Is the hub reachable from here, and HF_ENDPOINT right?")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("net", "it must be USER/NAME"), ("a/b/c", "it must be USER/NAME"), ("me/a net", "'me/a net'"), ("me/", "'me/'")],
)
def test_a_name_that_no_repository_can_have(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(PublishError, match=f"{name!r} cannot be a repository: .*{reason}"):
        push_to_hub(folder, name, dry_run=True)


@pytest.mark.parametrize("name", LAYOUT)
def test_a_folder_that_is_not_whole_is_not_uploaded(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(PublishError, match=f"is no published entry: it has no {name}") as caught:
        push_to_hub(folder, "me/net", dry_run=True)
    assert "publish_entry" in caught.value.hint


def test_damage_is_not_uploaded(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(PublishError, match=r"model\.safetensors is damaged, or is not this entry's: entry\.json"):
        push_to_hub(folder, "me/net", dry_run=True)
    (folder / "entry.json").write_text("{}")
    with pytest.raises(PublishError, match="is damaged, or is not this entry's"):
        push_to_hub(folder, "me/net", dry_run=True)
    (folder / "entry.json").write_text("{")
    with pytest.raises(PublishError, match=r"entry\.json: cannot be read as JSON"):
        push_to_hub(folder, "me/net", dry_run=True)
