"""Options that several commands have, so that each means the same everywhere, and what completes their values."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gpunet.errors import GpunetError, InvalidArgumentError

PrecisionName = Literal["fp32", "fp16", "bf16", "int8"]


def _say_version(asked: bool) -> None:
    if asked:
        import gpunet

        print(f"gpunet {gpunet.__version__}")
        raise typer.Exit


def _that_begin(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def complete_model(incomplete: str) -> list[str]:
    """Models that can be built."""
    from gpunet.zoo.catalog import catalog

    return _that_begin((entry.name for entry in catalog().values() if entry.buildable), incomplete)


def complete_device(incomplete: str) -> list[str]:
    """Devices with figures, and 'local'."""
    from gpunet.zoo.catalog import catalog

    chips = {record.chip for entry in catalog().values() for record in entry.records}
    return _that_begin(["local", *chips], incomplete)


def complete_runtime(incomplete: str) -> list[str]:
    """Runtimes, whether installed or not."""
    from gpunet.runtime import names

    return _that_begin(names(), incomplete)


def complete_recipe(incomplete: str) -> list[str]:
    """Recipes that come with gpunet."""
    from gpunet.train.recipes import recipe_names

    return _that_begin(recipe_names(), incomplete)


def complete_data(incomplete: str) -> list[str]:
    """Data that has a name, what datasets of timm's begin with, and folders."""
    above = incomplete[: incomplete.rfind("/") + 1]
    folders = [f"{above}{name}/" for name in _folders(Path(above))]
    return _that_begin(["digits", "torch/", "hfds/", "wds/", "tfds/", *folders], incomplete)


def _folders(above: Path) -> list[str]:
    with suppress(OSError):
        return [each.name for each in above.iterdir() if each.is_dir() and not each.name.startswith(".")]
    return []


def complete_study(ctx: typer.Context, incomplete: str) -> list[str]:
    """Studies in the database that the command line names before."""
    from gpunet.search.study.opening import study_names
    from gpunet.search.study.quiet import quiet_optuna

    place = ctx.params.get("study")
    if not place:
        return []
    quiet_optuna()
    with suppress(GpunetError):  # a command line that is being written has nobody to tell
        return _that_begin(study_names(place), incomplete)
    return []


def opt(*names: str, help: str, metavar: str | None = None, complete: Any = None, panel: str | None = None,
        **how: Any) -> Any:  # fmt: skip
    """An option of a command, as the annotation of a parameter takes it."""
    return typer.Option(
        *names, help=help, metavar=metavar, autocompletion=complete, rich_help_panel=panel, show_default=False, **how
    )


Json = Annotated[bool, opt("--json", help="print JSON on standard output, errors too, and nothing else there")]
Zoo = Annotated[
    list[str] | None,
    opt("--zoo", metavar="DIR...",
        help="folders of your own entries or runs, beside the zoo's; timm for timm's networks"),
]  # fmt: skip
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", autocompletion=complete_model,
        help="a model of 'gpunet list --baselines', of timm's (TAG or TAG@PX) or of your own zoo, or the folder of an "
        "entry or run",
    ),
]  # fmt: skip
Device = Annotated[
    str,
    opt("--device", "-d", metavar="NAME", complete=complete_device,
        help="chip, board or everyday name: gv100, 'Tesla V100', ...; 'local' measures this machine"),
]  # fmt: skip
BatchSize = Annotated[int, opt("--batch-size", "-b", metavar="N", help="images a run (default: 1)")]
Runtime = Annotated[
    str | None,
    opt("--runtime", "-r", metavar="NAME", complete=complete_runtime,
        help="tensorrt, openvino, onnxruntime, ... (default: on a GPU TensorRT's family, on 'local' the best one)"),
]  # fmt: skip
Precision = Annotated[
    PrecisionName | None, opt("--precision", "-p", help="default: all that are recorded; on 'local' fp32")
]
FilePrecision = Annotated[
    PrecisionName | None,
    opt("--precision", "-p", help="for a file: to compute in (default: what it holds, in fp32 where it must be)"),
]
Threads = Annotated[
    int | None, opt("--threads", "-t", metavar="N", min=1, help="threads that compute (default: all available)")
]
Version = Annotated[bool, opt("--version", help="print the version and end", callback=_say_version, is_eager=True)]
IncludeNominal = Annotated[bool, opt("--include-nominal", help="let nominal figures (the label of a tier) count too")]
Dataset = Annotated[
    str | None,
    opt("--dataset", metavar="NAME",
        help="images whose accuracies count, such as digits (default: ImageNet-1k validation); others are never "
        "ranked with them"),
]  # fmt: skip
MinIps = Annotated[
    float | None, opt("--min-ips", metavar="N", help="least images a second, by records that state them")
]
Licence = Annotated[
    Literal["permissive", "any"] | None,
    opt("--licence",
        help="of the weights; permissive: Apache, MIT, BSD, CC BY (default: permissive with --zoo timm, else any)"),
]  # fmt: skip
ExtraData = Annotated[
    bool | None,
    opt("--extra-data/--no-extra-data",
        help="trained or distilled on more than ImageNet-1k, or known not to be (default: both)"),
]  # fmt: skip
Family = Annotated[
    list[str] | None,
    opt("--family", metavar="PATTERN...", help="names or architectures, with * and ? for any letters: 'mobilenet*'"),
]
Thorough = Annotated[
    bool, opt("--thorough", help="of timm's networks on 'local': trust predictions less, and measure more")
]
BudgetMinutes = Annotated[
    float | None,
    opt("--budget-minutes", metavar="N", help="of timm's networks on 'local': the most that measuring may take"),
]
Input = Annotated[
    str | None,
    opt("--input", metavar="CxHxW", help="size of an image: channels, height, width, as 3x800x1333 (default: its own)"),
]
Estimates = Annotated[
    bool, opt("--estimates", help="of a GPU: let estimates count where nothing is measured, by their upper bounds")
]
Confidence = Annotated[
    float, opt("--confidence", metavar="SHARE", help="how often the interval of an estimate holds (default: 0.8)")
]
GpuSheet = Annotated[
    Path | None, opt("--gpu-sheet", metavar="FILE", help="CSV of specification sheets of your own GPUs, for estimates")
]
Baselines = Annotated[bool, opt("--baselines", help="the paper's baselines that timm can build, too")]
Weights = Annotated[
    Path | None, opt("--weights", metavar="FILE", help="safetensors, or NVIDIA's .pth.tar or zip, in place of its own")
]
Timeout = Annotated[
    float | None, opt("--timeout", metavar="SECONDS", help="the most that downloading weights may take (default: 3600)")
]
Offline = Annotated[
    bool, opt("--offline", help="ask no network for weights: take what is kept here, or say that it is not")
]
NoPretrained = Annotated[bool, opt("--no-pretrained", help="leave it untrained: no weights needed")]
On = Annotated[
    str | None, opt("--on", metavar="cpu|cuda", help="where torch computes: cpu, cuda, cuda:1 (default: a GPU if any)")
]
LoaderWorkers = Annotated[
    int, opt("--loader-workers", metavar="N", min=0, help="processes that prepare images (default: 0, none)")
]
MaxUnreadable = Annotated[
    int, opt("--max-unreadable", metavar="N", min=0, help="images that may be unreadable (default: 10)")
]
Data = Annotated[
    str,
    opt("--data", metavar="DATA", complete=complete_data,
        help="a folder (with train/ and validation/, each with a folder a class), digits, or a dataset of timm's: "
        "torch/cifar10, hfds/user/name, wds/..., tfds/..."),
]  # fmt: skip
DataRoot = Annotated[Path | None, opt("--data-root", metavar="DIR", help="where a named dataset lies, or a folder")]
Holdout = Annotated[
    float | None,
    opt("--holdout", metavar="PART",
        help="of a folder of classes without splits: hold this part of each class out to validate on, chosen by the "
        "images' names: 0.2"),
]  # fmt: skip
ClassMap = Annotated[
    Path | None, opt("--class-map", metavar="FILE", help="text file with the model's classes in order, one a line")
]


def input_sides(text: str | None) -> tuple[int, int] | None:
    """'3x800x1333' or '800x1333' -> (800, 1333); None for None.

    Raises:
        InvalidArgumentError: it is neither, or of other channels than a picture's.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts) or len(parts) not in (2, 3):
        raise InvalidArgumentError(f"--input {text!r} is no size of an image.", "Such as 3x800x1333.")
    *channels, height, width = map(int, parts)
    if channels not in ([], [3]):
        raise InvalidArgumentError(f"--input {text} has {channels[0]} channels, but pictures have 3.")
    return height, width
