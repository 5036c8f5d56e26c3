"""One run's state and its steps: what `gpunet.train.engine.train` drives.

The order within an update is timm's: the optimiser's step, then the average of the weights, then the learning rate.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import torch
from timm.utils import distribute_bn
from torch import Tensor, nn

from gpunet.errors import DataError, PreemptedError
from gpunet.model.network import GPUNet
from gpunet.train.batch_norm import synced
from gpunet.train.checkpoint import Checkpoints, Position, flat_optimizer, under, unflat_optimizer
from gpunet.train.data.unreadable import UnreadableImages
from gpunet.train.finite import FiniteLosses
from gpunet.train.folder import WEIGHTS
from gpunet.train.metrics import Metrics
from gpunet.train.optimization import average_from_recipe, optimizer_from_recipe, scheduler_from_recipe
from gpunet.train.processes import SAVE, STOP, Processes
from gpunet.train.progress import TrainingProgress
from gpunet.train.randomness import STEP, seed_of, seed_step
from gpunet.train.recipe import Recipe
from gpunet.train.score import EpochScore, TrainingResult
from gpunet.train.settings import RunSettings
from gpunet.train.tasks.task import Job, TaskBatch
from gpunet.train.trained import Trained

_UNSCORED = {"top1_percent": None, "top5_percent": None, "raw_top1_percent": None, "loss": None}


class Run(contextlib.ExitStack):
    """A run that stands somewhere; `to_the_end` takes it to its end, or raises."""

    def __init__(
        self, model: nn.Module, recipe: Recipe, settings: RunSettings, checkpoints: Checkpoints, group: Processes,
        job: Job,
    ) -> None:  # fmt: skip
        super().__init__()
        self.recipe, self.settings, self.group = recipe, settings, group
        self._checkpoints, self._device = checkpoints, group.device
        if isinstance(model, GPUNet):
            model.set_drop_rates(recipe.dropout, recipe.drop_path, recipe.drop_path_over)
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = model.to(self._device).to(memory_format=layout)
        self.position, self.updates = Position(0), 0
        self.scores: list[EpochScore] = []
        self._sum = torch.zeros(2, dtype=torch.float64, device=self._device)  # of the epoch's losses, and how many
        self._seconds = 0.0
        self._losses = FiniteLosses(settings.out, group.place)
        self._unreadable = UnreadableImages(settings.max_unreadable)
        try:
            self._set_up(job)
        except BaseException:
            self.close()
            raise

    def _set_up(self, job: Job) -> None:
        recipe, group = self.recipe, self.group
        if recipe.batch_norm == "synced" and group.many:
            self.enter_context(synced(self.model, self._device))
        self.task = job.task(self.model, recipe, self.settings, group)
        self.updates_per_epoch = len(self.task.loader) // recipe.accumulation_steps
        if self.updates_per_epoch < 1:
            raise DataError(
                f"{self.task.data_name} has {self.task.images} images, too few for one update of "
                f"{recipe.global_batch(group.place.processes)}.",
                "Lower batch_size or accumulation_steps.",
            )
        self._batches = self.updates_per_epoch * recipe.accumulation_steps
        self.optimizer = optimizer_from_recipe(self.model, recipe, group.place.processes)
        self.scheduler = scheduler_from_recipe(self.optimizer, recipe, self.updates_per_epoch)
        self.ema = average_from_recipe(self.model, recipe)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=recipe.precision == "fp16")
        self._phases = Trained(self.model, recipe, group)
        self.callback(self._phases.release)
        self._resume()

    # -------------------------------------------------------------------- state

    def _resume(self) -> None:
        """Stand where the last checkpoint does, or write the first."""
        there = self._checkpoints.positions()
        self.group.wait()  # all have looked before the first process may write
        if there:
            with self._checkpoints.reading(there[-1]):
                self._restore(there[-1])
        else:
            self._save()
        self._saved_s = time.monotonic()

    def _restore(self, position: Position) -> None:
        tensors, values = self._checkpoints.load(position)
        self.model.load_state_dict(under("model", tensors))
        if self.ema is not None:
            self.ema.module.load_state_dict(under("ema", tensors))
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        self.optimizer.load_state_dict(unflat_optimizer(under("optimizer", tensors), values["optimizer"], parameters))
        if self.group.first:  # it is of all processes
            self._sum.copy_(tensors["loss_sum"])
        self._scaler.load_state_dict(values["scaler"])
        self.position, self.updates = position, values["updates"]
        self.scores = [EpochScore.from_dict(each) for each in values["scores"]]
        self._seconds = values["seconds"]
        self._unreadable = UnreadableImages(self.settings.max_unreadable, values["unreadable"])

    def _save(self) -> None:
        """A checkpoint of where the run stands; the first process writes."""
        self._losses.check()
        loss_sum = self.group.sum(self._sum.clone())
        if self.group.first:
            state, values = flat_optimizer(self.optimizer.state_dict())
            tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
            if self.ema is not None:
                tensors |= {f"ema.{name}": value for name, value in self.ema.module.state_dict().items()}
            tensors |= {f"optimizer.{name}": value for name, value in state.items()}
            values = {
                "updates": self.updates,
                "optimizer": values,
                "scaler": self._scaler.state_dict(),
                "scores": [each.to_dict() for each in self.scores],
                "seconds": self._seconds,
                "unreadable": self._unreadable.names,
            }
            best = Position(self.best().epoch) if self.scores else None
            self._checkpoints.save(self.position, {**tensors, "loss_sum": loss_sum}, values, best)
        self._saved_s = time.monotonic()

    def best(self) -> EpochScore:
        """The epoch of the best figure, the first of equals; the last where nothing is scored."""
        if self.scores[-1].figure is None:
            return self.scores[-1]
        return max(self.scores, key=lambda each: (each.figure or 0.0, -each.epoch))

    # --------------------------------------------------------------------- steps

    def to_the_end(self) -> TrainingResult:
        """Train what is left."""
        self._metrics: Any = contextlib.nullcontext()
        if self.group.first:
            given = self.settings
            self._metrics = Metrics(given.out, self.position, self.updates, tensorboard=given.tensorboard)
            self.callback(self._metrics.close)
        self._progress = self.enter_context(
            TrainingProgress(self.settings.progress and self.group.first, self.recipe, self._batches)
        )
        # A callback that counts epochs, and one that ended the run just before it was killed, see what they had seen.
        stopped = self.group.from_first(any(self._ends(score) for score in self.scores))
        while self.position.epoch < self.recipe.epochs and not stopped:
            self._train_epoch()
            stopped = self._end_epoch()
        weights = self.settings.out / WEIGHTS
        return TrainingResult(weights, self.best(), tuple(self.scores), stopped, self._unreadable.names)

    def _train_epoch(self) -> None:
        epoch, first = self.position.epoch, self.position.step
        self._trained = self._phases.at(epoch)
        if first >= self._batches:
            return
        began_s = logged_s = time.perf_counter()
        logged = first
        for step, batch in enumerate(self.task.loader.epoch(epoch, first), start=first):
            loss = self._step(epoch, step, batch)
            done = Position(epoch, step + 1)
            self._progress.show(done, loss)
            if done.step == self._batches:
                self.position = done
                self._log(done, loss, logged, logged_s)
                break
            if done.step % self.settings.log_every_steps == 0 or done.step == 1:
                self._log(done, loss, logged, logged_s)
                logged, logged_s = done.step, time.perf_counter()
            if done.step % self.recipe.accumulation_steps == 0:
                self.position = done
                agreed = self.group.agree(self._request())
                if agreed:
                    self._seconds += time.perf_counter() - began_s
                    self._save()
                    self._leave_if(agreed == STOP)
                    began_s = time.perf_counter()
        self._losses.check()
        self._seconds += time.perf_counter() - began_s

    def _request(self) -> int:
        if self.settings.asked_to_leave():
            return STOP
        minutes = self.settings.checkpoint_minutes
        return SAVE if minutes is not None and time.monotonic() - self._saved_s >= 60 * minutes else 0

    def _leave_if(self, leaving: bool) -> None:
        if leaving:
            self.group.wait()
            raise PreemptedError(
                f"the run was asked to leave in epoch {self.position.epoch + 1}, after "
                f"{self.position.step} of {self._batches} batches; its checkpoint is written.",
                f"The same command goes on from there: {self.settings.out}.",
            )

    def _step(self, epoch: int, step: int, batch: TaskBatch) -> Tensor:
        """Forward and backward of one batch, and the update where it is due; its loss."""
        self._unreadable.note(batch.unreadable)
        recipe, at = self.recipe, Position(epoch, step)
        seed_step(seed_of(self.settings.seed, STEP, epoch, step, self.group.place.rank), self._device)
        due = (step + 1) % recipe.accumulation_steps == 0
        alone = contextlib.nullcontext() if due or not self.group.many else self._trained.no_sync()  # type: ignore[operator]
        with alone:
            loss = self.task.loss(self._trained, batch, at)
            self._scaler.scale(loss / recipe.accumulation_steps).backward()
        loss = loss.detach()
        self._losses.note(loss, batch, at, self.optimizer.param_groups[0]["lr"])
        self._sum += torch.stack([loss.double(), torch.ones_like(loss, dtype=torch.float64)])
        if due:
            self._update()
        return loss

    def _update(self) -> None:
        norm = self.recipe.optimization.gradient_norm
        if norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad()
        self.updates += 1
        if self.ema is not None:
            self.ema.update(self.model, step=self.updates)
        self.scheduler.step_update(self.updates)

    # ---------------------------------------------------------------- an epoch's end

    def _end_epoch(self) -> bool:
        """Score, report and keep an epoch; whether the callback ends the run."""
        epoch, train_s = self.position.epoch, self._seconds
        agreed = max(self.group.settled(), 0 if self.group.many else self._request())
        if agreed == STOP:
            self._save()
            self._leave_if(True)
        rate = float(self.optimizer.param_groups[0]["lr"])
        total = self.group.sum(self._sum.clone())
        if self.group.many and self.recipe.batch_norm == "local" and epoch >= self.recipe.head_epochs:
            distribute_bn(self.model, self.group.place.processes, reduce=True)
            if self.ema is not None:
                distribute_bn(self.ema.module, self.group.place.processes, reduce=True)
        began_s = time.perf_counter()
        raw = self._scored(self.model)
        kept = raw if self.ema is None else self._scored(self.ema.module)
        figures = {**_UNSCORED, **(kept or {})}
        if raw is not None and self.ema is not None:
            figures[f"raw_{self.task.figure}"] = raw[self.task.figure]
        images = self._batches * self.recipe.batch_size * self.group.place.processes
        score = EpochScore(
            epoch=epoch + 1, epochs=self.recipe.epochs, train_loss=float(total[0] / total[1]), learning_rate=rate,
            train_s=train_s, evaluation_s=time.perf_counter() - began_s, images_per_s=images / max(train_s, 1e-9),
            **figures,
        )  # fmt: skip
        self.scores.append(score)
        self.scheduler.step(epoch + 1)
        self.position = Position(epoch + 1)
        self._sum.zero_()
        self._seconds = 0.0
        self._save()
        if self.group.first:
            self._metrics.write("epoch", self.position, self.updates, score.to_dict())
        self._progress.epoch(score)
        return self.group.from_first(self._ends(score))

    def _ends(self, score: EpochScore) -> bool:
        return bool(self.settings.on_epoch(score)) if self.settings.on_epoch and self.group.first else False

    def _scored(self, model: nn.Module) -> dict[str, Any] | None:
        return self.task.score(model, self._unreadable, self._leave_if_asked)

    def _leave_if_asked(self) -> None:
        if self.group.agree(STOP if self.settings.asked_to_leave() else 0) == STOP:
            self._save()
            self._leave_if(True)

    def _log(self, done: Position, loss: Tensor, logged: int, logged_s: float) -> None:
        value = float(self.group.sum(loss.clone())) / self.group.place.processes
        if not self.group.first:
            return
        steps = done.step - logged
        seconds = time.perf_counter() - logged_s
        images = steps * self.recipe.batch_size * self.group.place.processes
        values = {
            "loss": value, "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "images_per_s": round(images / max(seconds, 1e-9), 1), "step_ms": round(1e3 * seconds / max(steps, 1), 3),
        }  # fmt: skip
        self._metrics.write("step", done, self.updates, values)
