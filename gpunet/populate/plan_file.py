"""A plan from a TOML, YAML or JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpunet.core.fields import part_from_dict
from gpunet.core.files import require
from gpunet.core.json_files import parsed_json
from gpunet.core.versions import body_of
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, InvalidArgumentError, SpecError
from gpunet.populate.plan import (
    PLAN_VERSION,
    DevicePlan,
    FineTunePlan,
    Plan,
    PublishPlan,
    SearchPlan,
    TablePlan,
    TiersPlan,
)
from gpunet.search.spaces.named import load_space
from gpunet.search.spaces.space import SearchSpace, space_from_dict
from gpunet.search.study.definition import Pruning
from gpunet.search.study.search_data import SearchData
from gpunet.train.recipe import Recipe
from gpunet.train.recipes import recipe_named

_TYPES: dict[str, Any] = {"device": DevicePlan, "table": TablePlan, "tiers": TiersPlan, "publish": PublishPlan}


def plan_from_dict(data: Mapping[str, Any], folder: Path | None = None) -> Plan:
    """A plan from what a file says.

    Args:
        data: a plan's dict, as `Plan.to_dict` writes it, or shorter: a space and recipes by name or file, a recipe's
            changes beside it (`epochs`, `batch_size`).
        folder: that files and data are named from.

    Raises:
        SpecError: naming the path of the fault.
    """
    body = body_of(data, "plan", "plan_version", PLAN_VERSION, implied=True)
    for name in ("space", "search", "fine_tune"):
        if name not in body:
            raise SpecError(f"{name}: missing", "Add it.")
    folder = Path() if folder is None else folder
    body["space"] = _space(body["space"], folder)
    for name, kind in _TYPES.items():
        if name in body:
            body[name] = part_from_dict(kind, body[name], name)
    search = _object(body["search"], "search")
    search["recipe"] = _recipe(search, "search", folder)
    if isinstance(search.get("data"), str):
        search["data"] = {"data": search["data"]}
    search["data"] = part_from_dict(SearchData, search.get("data", {}), "search.data").absolute(folder)
    if "pruning" in search:
        search["pruning"] = part_from_dict(Pruning, search["pruning"], "search.pruning")
    if _is_file_name(search.get("storage")):
        search["storage"] = _named_from(folder, search["storage"])
    body["search"] = part_from_dict(SearchPlan, search, "search")
    fine_tune = _object(body["fine_tune"], "fine_tune")
    fine_tune["recipe"] = _recipe(fine_tune, "fine_tune", folder)
    if isinstance(fine_tune.get("teacher_weights"), str):
        fine_tune["teacher_weights"] = _named_from(folder, fine_tune["teacher_weights"])
    teacher = fine_tune.get("teacher")
    if isinstance(teacher, str) and Path(_named_from(folder, teacher)).exists():  # else a name of the zoo's or timm's
        fine_tune["teacher"] = _named_from(folder, teacher)
    body["fine_tune"] = part_from_dict(FineTunePlan, fine_tune, "fine_tune")
    return part_from_dict(Plan, body, "")


def read_plan(path: str | Path) -> Plan:
    """A plan from a TOML, YAML or JSON file.

    Raises:
        SpecError: (a ValueError) it cannot be read, or naming the path of the fault.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        code = ABSENT_EXIT_CODE if isinstance(error, OSError) else FAILED_EXIT_CODE
        hint = "Give a TOML, YAML or JSON file."
        raise SpecError(f"plan: cannot read {path}: {error}", hint, exit_code=code) from None
    return plan_from_dict(_parsed(text, path), path.parent)


def _parsed(text: str, path: Path) -> Any:
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            return parsed_json(text)
        if suffix in (".yaml", ".yml"):
            yaml: Any = require("yaml", "search", purpose="to read a YAML plan")
            try:
                return yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(" ".join(str(error).split())) from None
        if suffix == ".toml":
            return _toml().loads(text)
    except (ValueError, RecursionError) as error:  # of JSON and of TOML too
        message = f"plan: {path} is not {suffix[1:].upper()}: {error}"
        raise SpecError(message, "docs/populating.md shows a plan.", exit_code=FAILED_EXIT_CODE) from None
    raise SpecError(f"plan: {path} is of no known kind", "Its name must end in .toml, .yaml or .json.")


def _toml() -> Any:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        return require("tomli", "search", purpose="to read a TOML plan on Python 3.10")
    return tomllib


def _space(given: object, folder: Path) -> SearchSpace:
    if isinstance(given, str):
        given = {"name": given}
    if isinstance(given, Mapping) and "name" in given:
        odd = sorted(map(str, set(given) - {"name", "resolutions_px"}))
        if odd:
            raise SpecError(f"space.{odd[0]}: unknown key", "Known keys: name, resolutions_px.")
        name, sizes = str(given["name"]), given.get("resolutions_px")
        if sizes is not None and not isinstance(sizes, (list, tuple)):
            raise SpecError(f"space.resolutions_px: {sizes!r} is not a list of numbers")
        place = name if name in ("paper", "release") else str(folder / name)
        try:
            return load_space(place, sizes)
        except InvalidArgumentError as error:
            raise SpecError(f"space: {error.message}", error.hint) from None
    if not isinstance(given, Mapping):
        raise SpecError(f"space: {given!r} is not a name, a file or an object")
    try:
        return space_from_dict(given)
    except (TypeError, AttributeError) as error:  # of lists for texts, and the like
        raise SpecError(f"space: {error}", "docs/search-space.md shows a space.") from None


def _recipe(part: dict[str, Any], path: str, folder: Path) -> Recipe:
    given = part.pop("recipe", None)
    changes: dict[str, Any] = {name: part.pop(name) for name in ("epochs", "batch_size") if name in part}
    if isinstance(given, str):
        recipe = recipe_named(folder / given if given.endswith(".json") else given)
    elif isinstance(given, Mapping):
        recipe = Recipe.from_dict(given)
    else:
        raise SpecError(f"{path}.recipe: {given!r} is not a recipe's name, a file or an object")
    return Recipe.from_dict({**recipe.to_dict(), **changes})


def _is_file_name(storage: object) -> bool:
    return isinstance(storage, str) and bool(storage) and "://" not in storage


def _named_from(folder: Path, path: str) -> str:
    return str(folder.absolute() / Path(path).expanduser())


def _object(given: object, path: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise SpecError(f"{path}: {given!r} is not an object")
    return dict(given)
