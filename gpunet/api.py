"""The front door: create, load, list_models, list_devices; `find` is the zoo's own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gpunet.core.device import LOCAL
from gpunet.core.hub import DOWNLOAD_TIMEOUT_S, working_offline
from gpunet.zoo.catalog import Zoo, catalog, entry_named, names_like
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.choice.estimated import estimated_devices
from gpunet.zoo.choice.scope import listed
from gpunet.zoo.query import best, recorded_devices

if TYPE_CHECKING:
    from gpunet.model.network import GPUNet

_logger = logging.getLogger("gpunet")


def create(
    device: str,
    *,
    max_ms: float | None,
    min_top1: float | None = None,
    max_params: float | None = None,
    batch_size: int = 1,
    runtime: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    include_nominal: bool = False,
    include_baselines: bool = False,
    dataset: str | None = None,
    min_ips: float | None = None,
    licence: str | None = None,
    extra_data: bool | None = None,
    family: str | Sequence[str] | None = None,
    thorough: bool = False,
    budget_minutes: float | None = None,
    estimates: bool = False,
    confidence: float = 0.8,
    gpu_sheet: str | Path | None = None,
    zoo: Zoo = None,
    pretrained: bool = True,
    weights: str | Path | None = None,
    timeout_s: float = DOWNLOAD_TIMEOUT_S,
    offline: bool = False,
    **model_kwargs: Any,
) -> GPUNet:
    """The most accurate network that keeps a latency budget on a device; ties go to the faster.

    On 'local', networks are measured from the most accurate down, and no further than the first that fits. A published
    entry of `zoo` brings its record to the machine that it was measured on, and is not measured again. Of timm's
    networks (zoo='timm') some tens are measured, by what their work lets expect; it takes minutes once.

    Args:
        device, max_ms, min_top1, max_params, batch_size, runtime, precision, threads, include_nominal,
        include_baselines, dataset, min_ips, licence, extra_data, family, zoo: the conditions of `gpunet.find`; max_ms
            in milliseconds for the whole batch, None for no budget.
        thorough: of timm's networks on 'local', trust predictions less: more are measured.
        budget_minutes: the most minutes that those measurements may take; then the best yet is the answer.
        estimates, confidence, gpu_sheet: as `gpunet.find` takes them; what is measured is preferred to any estimate.
        pretrained: load the network's weights; False leaves it freshly initialised.
        weights: a file to load them from: safetensors, or NVIDIA's `.pth.tar` or zip.
        timeout_s: the most that downloading them may take, see `load`.
        offline: ask no network for them.
        model_kwargs: the model's own, e.g. num_classes=10, in_chans=1, drop_rate=0.2, features_only=True.

    Returns:
        The model in evaluation mode. `model.entry` is its zoo entry and `model.match` the choice, with the latency
        record that decided it; the record is logged once to the logger 'gpunet'.

    Raises:
        NothingFitsError: (a LookupError) with the nearest networks and their figures.
        UnknownDeviceError: (a LookupError) no such device, or no figures for it.
        InvalidArgumentError: (a ValueError) a condition makes no sense.
        WeightsError: (a RuntimeError) the weights cannot be had; the hint says what to do.
    """
    query = Query(
        device=device, max_ms=max_ms, min_top1=min_top1, max_params=max_params, batch_size=batch_size, runtime=runtime,
        precision=precision, threads=threads, include_nominal=include_nominal, include_baselines=include_baselines,
        dataset=dataset, min_ips=min_ips, licence=licence, extra_data=extra_data, family=family, thorough=thorough,
        budget_minutes=budget_minutes, estimates=estimates, confidence=confidence, gpu_sheet=gpu_sheet,
    )  # fmt: skip
    match = best(query, zoo)
    from gpunet.zoo.models import model_from_entry

    # A baseline is a module of timm's own, given the same attributes.
    with working_offline(offline):
        model: Any = model_from_entry(
            match.entry, pretrained=pretrained, weights=weights, timeout_s=timeout_s, **model_kwargs
        )
    model.match = match
    _logger.info("chose %s", match)
    return cast("GPUNet", model)


def load(
    name: str | Path,
    *,
    pretrained: bool = True,
    weights: str | Path | None = None,
    zoo: Zoo = None,
    timeout_s: float = DOWNLOAD_TIMEOUT_S,
    offline: bool = False,
    **model_kwargs: Any,
) -> GPUNet:
    """A network of the zoo by name, in evaluation mode.

    Args:
        name: e.g. 'gpunet_1', a baseline's, one of the entries in `zoo`, or the folder of an entry or training run.
        pretrained: load its weights: from the cache, a Hugging Face repository or NVIDIA's NGC, in this order.
        weights: a file to load them from instead: safetensors, or NVIDIA's `.pth.tar` or zip.
        zoo: folders of one's own entries; 'timm' for timm's networks, TAG or TAG@PX, with the input size, crop and
            interpolation that the accuracy was published at.
        timeout_s: the most that downloading the weights may take; what arrived by then is gone on with the next time.
        offline: ask no network for the weights: take what is kept here, or say that it is not.
        model_kwargs: the model's own, e.g. num_classes=10, in_chans=1, drop_rate=0.2, features_only=True.

    Raises:
        UnknownModelError: (a LookupError) with the close names.
        WeightsError: (a RuntimeError) the weights cannot be had; the hint says what to do.
    """
    entry = entry_named(name, zoo)
    from gpunet.zoo.models import model_from_entry

    with working_offline(offline):
        return cast(
            "GPUNet",
            model_from_entry(entry, pretrained=pretrained, weights=weights, timeout_s=timeout_s, **model_kwargs),
        )


def list_models(
    pattern: str | Sequence[str] | None = None,
    *,
    include_baselines: bool = False,
    dataset: str | None = None,
    min_ips: float | None = None,
    licence: str | None = None,
    extra_data: bool | None = None,
    family: str | Sequence[str] | None = None,
    zoo: Zoo = None,
) -> list[str]:
    """Names for `load`: NVIDIA's seven, those in `zoo`, and with `include_baselines` the paper's that timm builds.

    Args:
        pattern: with * and ? for any letters, such as 'gpunet_p*'; or several. Default: all.
        include_baselines: the paper's baselines too.
        dataset: only those with an accuracy on it, as `gpunet.find` takes it. Default: all.
        min_ips: only those with a record of so many images a second, on any device.
        licence: 'permissive' or 'any'. Default: any, of timm's networks too, since nothing is chosen here.
        extra_data, family: as `gpunet.find` takes them.
        zoo: folders of one's own entries; 'timm' for timm's networks.

    Raises:
        InvalidArgumentError: (a ValueError) no accuracy is of that data set, or a condition makes no sense.
    """
    query = Query(
        device=LOCAL, include_baselines=include_baselines, dataset=dataset, min_ips=min_ips, licence=licence,
        extra_data=extra_data, family=family,
    )  # fmt: skip
    found = listed(catalog(zoo).values(), query)
    return names_like((entry.name for entry in found if entry.buildable), pattern)


def list_devices(*, estimates: bool = False, zoo: Zoo = None) -> list[str]:
    """Names for `find` and `create` that the zoo has latencies for: chips, boards, and 'local' for this machine.

    Args:
        estimates: those too whose latencies can be estimated, after the others, by their short names.
        zoo: folders of one's own entries; 'timm' for timm's networks.
    """
    pairs = recorded_devices(catalog(zoo).values())
    chips = sorted({chip for chip, _ in pairs} - {LOCAL})
    boards = sorted({board for _, board in pairs if board and board.lower() not in chips})
    return list(dict.fromkeys([*chips, *boards, LOCAL, *(estimated_devices() if estimates else ())]))
