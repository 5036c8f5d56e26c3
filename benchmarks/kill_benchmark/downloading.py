"""Downloading and converting weights, killed: the next run ends with the right ones, and with nothing besides."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gpunet.errors import ChecksumError
from gpunet.model.entry import Entry, WeightsSource
from gpunet.model.network import GPUNet
from gpunet.model.small import SMALL
from gpunet.zoo.weights.cache import download_path, verify
from gpunet.zoo.weights.loading import cache_path, find_weights, zip_path
from kill_benchmark.counts import Counts
from kill_benchmark.events import completed, killed_before, killed_once, moments, single_threaded, spread

KINDS = ("download", "download without ranges", "download gone on with", "zip put there by hand", "file given")
_MEMBER = "weights.pth.tar"
_Files = dict[str, bytes]


@dataclass
class _Scene:
    """What a kind of run begins with.

    Args:
        kind: one of KINDS.
        server: the address of a file_server.
        given: the file of the weights.
        home: GPUNET_HOME, as each run begins; with another entry's files in it.
        work: GPUNET_HOME of the runs.
        number: tells the addresses of scenes apart.
    """

    kind: str
    server: str
    given: Path
    home: Path
    work: Path
    number: int = 0

    @property
    def entry(self) -> Entry:
        path = "plain" if self.kind == KINDS[1] else f"stall/{self.number}" if self.kind == KINDS[2] else "ranges"
        return _entry("killed", f"{self.server}/{path}/zip")

    def prepare(self) -> None:
        """Make `home`."""
        with _at(self.home):
            other = _entry("other", f"{self.server}/ranges/other")
            find_weights(other, self.given)
            for path in (zip_path(other), download_path(cache_path(other), "zip")):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"of another, perhaps at work")
            if self.kind == KINDS[2]:
                killed_once(self._half_is_here, self.run)
            if self.kind == KINDS[3]:
                shutil.copy(self.given, zip_path(self.entry))

    def begin(self) -> None:
        """Make `work` what `home` is."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.home, self.work)

    def run(self) -> None:
        find_weights(self.entry, self.given if self.kind == KINDS[4] else None, progress=False)

    def _half_is_here(self) -> bool:
        arrived = download_path(cache_path(self.entry), "zip")
        return arrived.exists() and arrived.stat().st_size >= self.given.stat().st_size // 2

    def cached(self) -> Path:
        """Where the weights are, once they are there."""
        if self.kind != KINDS[4]:
            return cache_path(self.entry)
        return next(iter((self.work / "weights").glob("killed-*.safetensors")), cache_path(self.entry))

    def due_bytes(self) -> int:
        """How much of the file the next run has to fetch."""
        if self.kind in KINDS[3:] or self.cached().exists():
            return 0
        size_bytes = self.given.stat().st_size
        here = download_path(cache_path(self.entry), "zip")
        kept = here.exists() and here.with_name(f"{here.name}.json").exists() and here.stat().st_size
        return size_bytes - kept + 1 if kept else size_bytes

    def sent_bytes(self) -> int:
        """How much the server has sent so far."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.server}/sent") as said:
            return int(said.read())


@single_threaded()
def downloading(kills: int | None, kinds: tuple[str, ...] = KINDS) -> list[Counts]:
    """Fetch and convert, killed at each moment, or at `kills` of them; then once more, to the end.

    Args:
        kills: how many of each kind; None for each moment once.
        kinds: of KINDS.
    """
    with tempfile.TemporaryDirectory(prefix="gpunet-kill-") as folder:
        given = Path(folder, "given.zip")
        given.write_bytes(_zipped())
        with _serving(given) as server:
            return [
                _killed(_Scene(kind, server, given, Path(folder, f"home{number}"), Path(folder, "work"), number), kills)
                for number, kind in enumerate(kinds)
            ]


def _killed(scene: _Scene, kills: int | None) -> Counts:
    counts = Counts(f"weights: {scene.kind}")
    scene.prepare()
    with _at(scene.work):
        scene.begin()
        before = _files(scene.work)
        count = moments(scene.run)
        right = _files(scene.work)
        if len(right) > len(before) + 2:
            counts.faults.append(f"unkilled, it leaves {sorted(set(right) - set(before))}")
        for moment in spread(count, kills):
            where = f"killed before moment {moment} of {count}"
            scene.begin()
            counts.killed += killed_before(moment, scene.run)
            _check_others(scene, before, counts, where)
            due_bytes, sent_bytes = scene.due_bytes(), scene.sent_bytes()
            completed(scene.run)
            fetched_bytes = scene.sent_bytes() - sent_bytes
            if fetched_bytes != due_bytes:
                counts.doubled += 1
                counts.faults.append(f"{where}: {fetched_bytes} bytes were fetched, where {due_bytes} were missing")
            found = _files(scene.work)
            if any(found.get(name) != content for name, content in right.items()):
                counts.lost += 1
                counts.faults.append(f"{where}: the next run does not end as one that nobody killed")
            if extra := sorted(set(found) - set(right)):
                counts.left_over += len(extra)
                counts.faults.append(f"{where}: the next run leaves {extra}")
    return counts


def _check_others(scene: _Scene, before: _Files, counts: Counts, where: str) -> None:
    """What is of others, or was put there by hand, is as it was; what stands for the weights is right."""
    found = _files(scene.work)
    mine = str(download_path(cache_path(scene.entry), "").relative_to(scene.work))
    if any(found.get(name) != content for name, content in before.items() if not name.startswith(mine)):
        counts.lost += 1
        counts.faults.append(f"{where}: a file of another is not as it was")
    if scene.kind != KINDS[3] and zip_path(scene.entry).exists():
        counts.lost += 1
        counts.faults.append(f"{where}: what was downloaded stands where users put zips")
    if scene.cached().exists():
        try:
            verify(scene.cached())
        except ChecksumError as error:
            counts.lost += 1
            counts.faults.append(f"{where}: {error.message}")


def _files(folder: Path) -> _Files:
    """All files but locks, by their path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }  # fmt: skip


def _entry(name: str, url: str) -> Entry:
    return Entry(
        name, "own", "gpunet", None, None, "Apache-2.0", num_classes=10,
        weights=WeightsSource(ngc_url=url, ngc_member=_MEMBER), spec_data=SMALL.to_dict(),
    )  # fmt: skip


def _zipped() -> bytes:
    """A small network's weights, drawn at random, as NGC packs them."""
    torch.manual_seed(0)
    checkpoint, packed = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": GPUNet(SMALL, num_classes=10).state_dict()}, checkpoint)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MEMBER, checkpoint.getvalue())
    return packed.getvalue()


@contextlib.contextmanager
def _serving(file: Path) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("file_server.py")), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said: Any = process.stdout
            yield said.readline().strip()
        finally:
            process.kill()


@contextlib.contextmanager
def _at(home: Path) -> Iterator[None]:
    """Within: GPUNET_HOME, and no proxy or mirror."""
    wanted = {"GPUNET_HOME": str(home), "no_proxy": "127.0.0.1", "GPUNET_NGC_URL": ""}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
