"""Pages of the documentation's site that are made while it is built (mkdocs hooks): `make docs`.

The README is the first page, and each room of the package has a page with all its public names.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_PAGES = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the reference's pages and the decisions in the place that the navigation has for them."""
    for section in config.nav or ():
        if section.get("Reference") == "api/":
            section["Reference"] = [{module.__name__: f"api/{module.__name__}.md"} for module in _public_modules()]
        elif "Project" in section:
            records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
            section["Project"].append({"Decisions": [f"decisions/{path.name}" for path in records]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    for name, page in _PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    places: dict[str, str] = {}
    for module in _public_modules():
        files.append(File.generated(config, f"api/{module.__name__}.md", content=_reference(module, places)))
    return files


def _public_modules() -> list[ModuleType]:
    """Every module that lists public names, and is not but a part of a package that lists them too."""
    import gpunet

    rooms = [name for _, name, is_package in pkgutil.iter_modules(gpunet.__path__, "gpunet.") if is_package]
    names = ["gpunet", "gpunet.errors", *rooms, "gpunet.runtime.base", "gpunet.runtime.beside",
             "gpunet.runtime.formats"]  # fmt: skip
    import gpunet.testing

    names += [name for _, name, _ in pkgutil.iter_modules(gpunet.testing.__path__, "gpunet.testing.")]
    found = [importlib.import_module(name) for name in sorted(names)]
    return [module for module in found if getattr(module, "__all__", ())]


def _reference(module: ModuleType, places: dict[str, str]) -> str:
    """A page for mkdocstrings: what the module says, then each of its names from where it is defined.

    Args:
        module: of the page.
        places: page of each object that has one already; this page's are added.
    """
    parts = [f"# {module.__name__}", inspect.cleandoc(module.__doc__ or "").partition("\n\n    ")[0]]
    for name in sorted(module.__all__, key=str.lower):
        value: Any = getattr(module, name)
        home = getattr(module, "_LAZY", {}).get(name) or getattr(value, "__module__", None) or module.__name__
        full, page = f"{home}.{name}", module.__name__
        if name not in vars(importlib.import_module(home)):  # made when asked for: its base's package may be absent
            parts += [f"## {name}", f"```text\n{inspect.cleandoc(value.__doc__ or '')}\n```"]
        elif full in places:
            parts += [f"## {name}", f"See [{places[full]}]({places[full]}.md#{full})."]
        else:
            places[full] = page
            parts.append(f"::: {full}")
    return "\n\n".join(parts) + "\n"
