"""How the optimisers stand: regret by problem, verdicts, ranks, what a proposal costs, and the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core import console
from gpunet.core.pictures import picture
from gpunet.search.optimize.pictures import draw_regret

AT = (20, 30, 40, 60, 100, 150)  # evaluations
Key = tuple[str, str, int]  # problem, optimiser, seed


def report(runs: Mapping[Key, Mapping[str, Any]], budgets: Mapping[str, int]) -> None:
    """Print regret by problem, then ranks, then what a proposal costs."""
    for problem, budget in budgets.items():
        at = tuple(count for count in AT if count <= budget) or (budget,)
        finals = finals_of(runs, problem)
        if not finals:
            continue
        rows, forty = [], min(40, budget)
        for optimizer in sorted(finals, key=lambda name: np.median(finals[name])):
            curves = curves_of(runs, problem, optimizer)
            best = np.minimum.accumulate(curves, axis=1)
            cells = [f"{np.median(best[:, count - 1]):.4g}" for count in at]
            low, high = np.quantile(best[:, -1], [0.25, 0.75])
            if problem.startswith("nas"):
                cells += [f"{best[:, forty - 1].mean():.3f}", f"{(best[:, -1] <= 0).sum()}/{len(best)}"]
            rows.append([optimizer, *cells, f"{low:.4g} to {high:.4g}", verdict(finals, optimizer)])
        columns = [problem, *(f"median at {count}>" for count in at)]
        columns += [f"mean at {forty}>", "found the best>"] if problem.startswith("nas") else []
        print(console.table([*columns, "quartiles>", "against the best other"], rows), "\n")
    ranks = ranks_of(runs)
    costs: list[list[Any]] = []
    for optimizer in sorted(ranks, key=lambda name: np.mean(ranks[name])):
        low, high = interval(ranks[optimizer])
        mine = [each for (_, name, _), each in runs.items() if name == optimizer]
        cost_s = np.concatenate([each["proposal_cpu_s"] for each in mine])
        memory_mib = max(each["memory_mib"] for each in mine)
        costs.append([optimizer, f"{np.mean(ranks[optimizer]):.2f}", f"{low:.2f} to {high:.2f}", len(ranks[optimizer]),
                     f"{np.mean(cost_s):.3f}", f"{np.quantile(cost_s, 0.99):.3f}", f"{memory_mib:.0f}"])  # fmt: skip
    columns = ["optimizer", "mean rank>", "95 % interval>", "runs>", "CPU s a proposal>", "99 %>", "memory MiB>"]
    print(console.table(columns, [[str(cell) for cell in row] for row in costs]))


def curves_of(runs: Mapping[Key, Mapping[str, Any]], problem: str, optimizer: str) -> np.ndarray:
    """`seeds x evaluations` of regret."""
    return np.array([each["regret"] for (name, who, _), each in runs.items() if (name, who) == (problem, optimizer)])


def finals_of(runs: Mapping[Key, Mapping[str, Any]], problem: str) -> dict[str, np.ndarray]:
    """Final regrets by optimiser."""
    names = dict.fromkeys(who for name, who, _ in runs if name == problem)
    return {who: curves_of(runs, problem, who).min(axis=1) for who in names}


def verdict(finals: Mapping[str, np.ndarray], optimizer: str) -> str:
    """Whether an optimiser is significantly behind, or ahead of, the best of the others by median."""
    others = [name for name in finals if name != optimizer]
    if not others:
        return ""
    from scipy.stats import mannwhitneyu

    best = min(others, key=lambda name: np.median(finals[name]))
    mine, theirs = finals[optimizer], finals[best]
    same = np.ptp(np.concatenate([mine, theirs])) == 0
    u, p = (0.0, 1.0) if same else mannwhitneyu(mine, theirs)
    # Medians may be equal where the test is sure: of more than half of the pairs the greater regret is the worse one's.
    word = "level with" if p >= 0.05 else "behind" if u > len(mine) * len(theirs) / 2 else "ahead of"
    return f"{word} {best} (p={p:.2g})"


def ranks_of(runs: Mapping[Key, Mapping[str, Any]]) -> dict[str, list[float]]:
    """Ranks of the final regret in each problem and seed that all its optimisers ran; ties share their mean."""
    groups: dict[tuple[str, int], dict[str, float]] = {}
    for (problem, optimizer, seed), each in runs.items():
        groups.setdefault((problem, seed), {})[optimizer] = min(each["regret"])
    ranks: dict[str, list[float]] = {}
    for group in groups.values():
        values = np.array(list(group.values()))
        for optimizer, value in group.items():
            ranks.setdefault(optimizer, []).append(float((values < value).sum() + ((values == value).sum() + 1) / 2))
    return ranks


def interval(ranks: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean."""
    drawn = np.random.default_rng(0).choice(np.array(ranks), size=(2000, len(ranks)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def draw(path: Path, runs: Mapping[Key, Mapping[str, Any]], budgets: Mapping[str, int]) -> None:
    """Regret of every problem, side by side."""
    columns = min(4, len(budgets))
    rows = -(-len(budgets) // columns)
    with picture(path, (4 * columns, 3.2 * rows)) as figure:
        for number, problem in enumerate(budgets):
            axes = figure.add_subplot(rows, columns, number + 1)
            names = finals_of(runs, problem)
            curves = {name: np.maximum(curves_of(runs, problem, name), 1e-6) for name in names}
            draw_regret(axes, curves)
            axes.set_title(problem)
            axes.set_xlabel("evaluations", fontsize="small")
            axes.set_ylabel("regret, median and quartiles", fontsize="small")
            if number == 0:
                axes.legend(fontsize="x-small")
