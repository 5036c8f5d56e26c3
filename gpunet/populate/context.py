"""What every stage is given: the plan, its folder, who listens, and how processes are run for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from gpunet.errors import PreemptedError
from gpunet.latency.worth import UNKNOWN_TOLERANCE_PERCENT, Worth
from gpunet.launch.child import Job
from gpunet.launch.processes import Fleet
from gpunet.populate.place import StateFolder, damaged, read_state
from gpunet.populate.plan import Plan
from gpunet.search.study.tables import worth_from_table
from gpunet.search.study.training import RecipeTrainer

WORTH = "worth"  # in the tiers' file


class Context:
    """A run of the tool.

    Args:
        plan: what for.
        place: where.
        say: told what happens, line by line.
        asked: whether to leave before the next step.
    """

    def __init__(
        self, plan: Plan, place: StateFolder, say: Callable[[str], None], asked: Callable[[], bool] = lambda: False
    ) -> None:
        self.plan, self.place, self.say, self._asked = plan, place, say, asked

    def leave_if_asked(self, stage: str) -> None:
        """Go no further if this process was asked to leave.

        Raises:
            PreemptedError: it was.
        """
        if self._asked():
            raise PreemptedError(f"asked to leave in the stage {stage}.", "The same command goes on from there.")

    @cached_property
    def trainer(self) -> RecipeTrainer:
        """The trainer that ranks networks; what is wrong with data and recipe is said when it is first asked for."""
        trainer = RecipeTrainer(self.plan.space, self.plan.search.recipe, self.plan.search.data)
        trainer.check()
        return trainer

    @property
    def num_classes(self) -> int:
        """Of the data, and so of the networks."""
        return self.trainer.num_classes

    @property
    def kept_worth(self) -> Worth | None:
        """What the estimates that the tiers were cut by are worth; None while there are no tiers.

        Raises:
            InvalidArgumentError: the file that says it is damaged.
        """
        said = read_state(self.place.tiers)
        try:
            return None if said is None or WORTH not in said else Worth.from_dict(said[WORTH])
        except (KeyError, TypeError):
            raise damaged(self.place.tiers) from None

    @cached_property
    def worth(self) -> Worth:
        """What the table's estimates are worth."""
        kept = self.kept_worth
        return worth_from_table(self.place.table, self.plan.space, self.num_classes) if kept is None else kept

    @cached_property
    def tolerance_percent(self) -> float:
        """By how much a measured network may lie below its tier: the plan's, or what the table's own error says."""
        given = self.plan.fine_tune.tolerance_percent
        own = self.worth.tolerance_percent if given is None else given
        return UNKNOWN_TOLERANCE_PERCENT if own is None else own

    def run_jobs(self, stage: str, jobs: Sequence[Job]) -> None:
        """Run processes to their end.

        Raises:
            PreemptedError: this process was asked to leave; so were they, and all have left.
            WorkerError: one of them failed.
        """
        if Fleet(jobs, say=lambda line: self.say(f"[{stage}] {line}")).run():
            raise PreemptedError(f"asked to leave in the stage {stage}.", "The same command goes on from there.")
