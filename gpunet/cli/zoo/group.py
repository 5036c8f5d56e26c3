"""`gpunet zoo`: a zoo of one's own."""

from __future__ import annotations

from gpunet.cli.command import group

ZOO = group(
    "zoo",
    {"add": "zoo.add:add"},
    "A zoo of your own: add any network, with an accuracy that you measured.\n\n"
    "It is a folder, which --zoo DIR adds to the package's own in every command.",
    panel="Fill the zoo",
)
