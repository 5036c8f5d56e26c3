from __future__ import annotations

import dataclasses

from helpers.report_example import example_report, small_network

from gpunet.model.small import SMALL
from gpunet.report.architecture import draw_architecture, most_channels, parts_of
from gpunet.report.data import NetworkReport
from gpunet.report.drawing import Block, Words
from gpunet.zoo.catalog import entry_named


def _boxes(network: NetworkReport, **options: int) -> dict[str, Block]:
    drawing = draw_architecture(network, 0, **options)
    return {shape.tip[0]: shape for shape in drawing.marks if isinstance(shape, Block)}


def test_every_part_of_a_network_is_a_box_with_all_that_is_known_of_it():
    boxes = _boxes(small_network())
    assert list(boxes) == ["stem", "stage 0", "stage 1", "stage 2", "stage 3", "head", "classifier"]
    assert boxes["stage 3"].tip == (
        "stage 3", "IRB, 2 layers", "40 → 48 channels", "kernel 3, stride 1, expansion 4",
        "squeeze-excitation: yes; activation: swish", "4 → 4 px", "0.045 M parameters", "0.6 M multiply-adds",
    )  # fmt: skip


def test_width_grows_with_layers_and_height_with_channels():
    boxes = _boxes(example_report().networks[0])
    assert boxes["stage 0"].height < boxes["stage 3"].height < boxes["stage 6"].height < boxes["head"].height
    assert boxes["stage 1"].width < boxes["stage 0"].width < boxes["stage 2"].width < boxes["stage 5"].width


def test_several_drawings_share_their_scale():
    networks = example_report().networks
    wide = dataclasses.replace(SMALL, head=dataclasses.replace(SMALL.head, filters=4000))
    both = (*networks, dataclasses.replace(small_network(), spec=wide.to_dict()))
    assert most_channels(both) == 4000
    assert _boxes(networks[0], tallest=4000)["head"].height < _boxes(networks[0])["head"].height
    assert most_channels(()) == 1


def test_the_words_beneath_a_part_say_its_choices():
    drawing = draw_architecture(small_network(), 0)
    said = [shape.text for shape in drawing.shapes if isinstance(shape, Words)]
    at = said.index("stage 2")
    assert said[at : at + 6] == ["stage 2", "IRB", "40 ch", "k3 s2 e4", "swish, SE", "8 → 4 px"]
    assert said[said.index("stage 3") + 1] == "IRB x2"
    assert drawing.title == "small: architecture, input 32 px"
    assert "small: architecture, input 32 px" not in said
    alone = draw_architecture(small_network(), 0, alone=True)
    assert isinstance(alone.shapes[0], Words)
    assert alone.shapes[0].text == drawing.title
    assert alone.height > drawing.height


def test_parts_hold_all_that_is_counted():
    for spec in (SMALL, *(each.network for each in example_report().networks), entry_named("gpunet_d1").spec):
        shapes = [shape for part in parts_of(spec) for shape in part.shapes]
        assert sum(shape.parameters for shape in shapes) == spec.count_parameters()
        assert sum(shape.multiply_adds for shape in shapes) == spec.count_multiply_adds()


def test_stages_without_layers_are_left_out_and_a_hidden_head_is_there():
    names = [part.title for part in parts_of(entry_named("gpunet_d1").spec)]
    assert names[-3:] == ["head", "head, hidden", "classifier"]
    empty = dataclasses.replace(SMALL, stages=(*SMALL.stages[:3], dataclasses.replace(SMALL.stages[3], layers=0)))
    assert "stage 3" not in [part.title for part in parts_of(empty)]
