"""The network that a command line names: of the zoo or timm, the folder of an entry, or a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import checked_number
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, UnknownModelError, WeightsError
from gpunet.model.origin import DRAWN, NOT_STATED, TRAINED, UNTRAINED, WeightsOrigin, say_file, say_origin
from gpunet.zoo.catalog import entry_named
from gpunet.zoo.timm_zoo.names import entry_of_timm

if TYPE_CHECKING:
    from torch import nn

    from gpunet.model.entry import Entry


def network_named(
    name: str,
    *,
    zoo: Sequence[str] | None = None,
    pretrained: bool = True,
    weights: Path | None = None,
    timm_too: bool = False,
    timeout_s: float | None = None,
    **model_kwargs: Any,
) -> nn.Module:
    """A network in evaluation mode.

    Args:
        name: an entry of the zoo, the folder of one, the path of a spec, or with `timm_too` a model of timm's: TAG or
            TAG@PX of the catalogue, with all that it says of it, or whatever else timm builds.
        zoo: folders of one's own entries.
        pretrained: load its weights.
        weights: a file to take them from.
        timm_too: let timm's models count where the zoo has none of the name.
        timeout_s: the most that downloading weights may take; None for an hour.
        model_kwargs: the model's own.

    Raises:
        InvalidArgumentError: there is no such file, or a spec's weights are nowhere.
        UnknownModelError: nothing has this name, or a folder does not hold one entry.
        WeightsError: the weights cannot be had.
    """
    bounds: dict[str, Any] = (
        {} if timeout_s is None else {"timeout_s": checked_number("timeout_s", timeout_s, 0, above=True)}
    )
    chosen: dict[str, Any] = {"pretrained": pretrained, "weights": weights, **bounds, **model_kwargs}
    path = Path(name)
    if path.suffix == ".json":
        if not path.is_file():
            raise InvalidArgumentError(
                f"{path}: there is no such file.", "MODEL is a name, an entry's folder or a spec.",
                exit_code=ABSENT_EXIT_CODE,
            )  # fmt: skip
        return _from_spec(path, pretrained, weights, model_kwargs)
    try:
        return _from_zoo(entry_named(name, zoo), chosen)
    except UnknownModelError as error:
        if not timm_too or path.is_dir():
            raise
        entry = entry_of_timm(name)
        if entry is not None:
            return _from_zoo(entry, chosen)
        if not _is_timm(name):
            raise UnknownModelError(
                f"{name!r} is no model of the zoo or of timm's, no folder of an entry, and no spec's JSON file.",
                error.hint,
            ) from None
    return _from_timm(name, pretrained, weights, bounds, model_kwargs)


def _from_zoo(entry: Entry, chosen: dict[str, Any]) -> nn.Module:
    from gpunet.zoo.models import model_from_entry

    return model_from_entry(entry, **chosen)


def _is_timm(name: str) -> bool:
    import timm

    try:
        source, _ = timm.models.parse_model_name(name)
    except ValueError:  # it begins as a place that timm does not know, or is a path
        return False
    return source is not None or timm.is_model(name)


def _from_timm(
    name: str, pretrained: bool, weights: Path | None, bounds: dict[str, Any], model_kwargs: dict[str, Any]
) -> nn.Module:
    from gpunet.zoo.weights.loading import load_weights
    from gpunet.zoo.weights.timm_files import timm_network

    try:
        model = timm_network(name, pretrained=pretrained and weights is None, **bounds, **model_kwargs).eval()
    except WeightsError as error:
        error.hint = error.hint or "Give its weights as a file: --weights FILE."
        raise
    except TypeError as error:
        shown = ", ".join(f"{key}={value}" for key, value in model_kwargs.items())
        raise InvalidArgumentError(
            f"timm cannot build {name} with {shown}: {error}", "Leave out what it does not take (of a recipe: --set)."
        ) from error
    except (AssertionError, LookupError, OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"timm could not load {name}: {type(error).__name__}: {error}",
            "Give its weights as a file: --weights FILE.",
            exit_code=ABSENT_EXIT_CODE,
        ) from error
    if weights is not None:
        load_weights(model, weights)
        say_file(model, weights)
    elif pretrained:
        say_origin(model, _timms_origin(name, model))
    else:
        say_origin(model, DRAWN)
    return model


def _timms_origin(name: str, model: nn.Module) -> WeightsOrigin:
    from gpunet.model.preprocessing import num_classes_of

    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    licence = cfg.get("license") or NOT_STATED
    if num_classes_of(model) not in (0, cfg.get("num_classes")):
        return WeightsOrigin(UNTRAINED, f"timm's {name}, but for its classifier, which is drawn at random", licence)
    return WeightsOrigin(TRAINED, f"timm's {name}", licence)


def _from_spec(path: Path, pretrained: bool, weights: Path | None, model_kwargs: dict[str, Any]) -> nn.Module:
    from gpunet.zoo.models import gpunet_from_spec
    from gpunet.zoo.weights.loading import load_weights

    if pretrained and weights is None:
        raise InvalidArgumentError(f"{path} is a spec, which has no weights of its own.", "Give them: --weights FILE.")
    model = gpunet_from_spec(path, **model_kwargs).eval()
    if weights is None:
        say_origin(model, DRAWN)
    else:
        load_weights(model, weights)
        say_file(model, weights)
    return model
