"""Detectors: any backbone, sizes of maps, gradients, learning from nothing, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers.coco import PLAIN, QUICK

from gpunet.detection import Detector, DetectorSpec, cascade_rcnn, detector_from_spec, faster_rcnn
from gpunet.detection.backbone import padding_in_words
from gpunet.errors import InvalidArgumentError, SpecError, UnknownModelError

SOME = {"boxes": torch.tensor([[10.0, 10.0, 40.0, 50.0]]), "labels": torch.tensor([1])}
NONE = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


def pictures() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, 70, 90, generator=generator), torch.rand(3, 64, 50, generator=generator)]


def losses_of(model: Detector, targets: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return model(pictures(), targets)


@pytest.mark.parametrize("make", [cascade_rcnn, faster_rcnn])
@pytest.mark.parametrize("backbone", ["little", "resnet10t", "lcnet_050", "convnext_atto", "repvgg_a0", "gpunet_0"])
def test_any_backbone_learns_and_detects(make, backbone: str, little: str):
    model = make(little if backbone == "little" else backbone, ("cat", "dog"), **QUICK)
    losses = losses_of(model, [SOME, NONE])
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    body = [each for each in model.backbone.network.parameters() if each.requires_grad]
    assert body
    assert all(each.grad is not None and torch.isfinite(each.grad).all() for each in body)
    assert body[0].grad.abs().sum() > 0  # the stem's; a residual branch begins at 0 in some, and its gradient with it
    with torch.inference_mode():
        found = model.eval()(pictures())
    for each, picture in zip(found, pictures(), strict=True):
        assert set(each) == {"boxes", "labels", "scores"}
        assert set(each["labels"].tolist()) <= {1, 2}
        assert each["scores"].tolist() == sorted(each["scores"].tolist(), reverse=True)
        assert each["boxes"].min() >= 0
        assert each["boxes"][:, 2].max() <= picture.shape[2] + 1e-3
        assert each["boxes"][:, 3].max() <= picture.shape[1] + 1e-3


@pytest.mark.parametrize("make", [cascade_rcnn, faster_rcnn])
def test_pictures_without_boxes_and_one_class(make):
    model = make("lcnet_050", ["cat"], **QUICK)
    losses = losses_of(model, [NONE, NONE])
    assert all(torch.isfinite(each) for each in losses.values())
    assert all(float(value.detach()) == 0 for name, value in losses.items() if "box_reg" in name)
    sum(losses.values()).backward()
    with torch.inference_mode():
        assert set(model.eval()(pictures())[0]["labels"].tolist()) <= {1}


def test_a_box_of_a_px_gives_finite_gradients():
    model = cascade_rcnn("lcnet_050", ["cat"], **QUICK)
    tiny = {"boxes": torch.tensor([[10.0, 10.0, 10.4, 10.2]]), "labels": torch.tensor([1])}
    sum(losses_of(model, [tiny, SOME]).values()).backward()
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


def test_maps_are_as_large_as_their_strides_imply(little: str):
    model = cascade_rcnn(little, ["cat"], **QUICK)
    pyramid = model.backbone
    assert pyramid.strides == [4, 8, 16, 32]
    padding = pyramid.padding(100, 140)
    assert padding == {4: ((23, 33), (25, 35)), 8: ((11, 16), (13, 18)), 16: ((6, 8), (7, 9)), 32: ((3, 4), (4, 5))}
    assert padding_in_words({4: padding[4]}) == "the backbone's maps are padded: 23x33 to 25x35 (stride 4)"
    assert padding_in_words({}) == ""
    maps = pyramid.maps(torch.zeros(1, 3, 100, 140))
    assert [tuple(each.shape[2:]) for each in maps] == [(25, 35), (13, 18), (7, 9), (4, 5)]
    assert cascade_rcnn("lcnet_050", ["cat"], **QUICK).backbone.padding(800, 1333) == {}


def test_the_paddings_of_gpunet_2():
    """Its map of stride 4 at 800 x 1333 px."""
    padding = cascade_rcnn("gpunet_2", ["cat"], **QUICK).backbone.padding(800, 1333)
    assert padding[4] == ((198, 332), (200, 334))


def test_a_padded_map_looks_where_it_says(little: str):
    """A spot in the picture is seen in the cell that its place implies, to within a cell."""
    torch.manual_seed(0)
    pyramid = cascade_rcnn(little, ["cat"], **QUICK).backbone.eval()
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    cell = pyramid.maps(image)[0][0, :, 40, 20].square().sum()
    (gradient,) = torch.autograd.grad(cell, image)
    weight = gradient.abs().sum(dim=(0, 1))
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    centre = [(weight * each).sum() / weight.sum() for each in (rows, columns)]
    assert centre[0] == pytest.approx(40 * 4, abs=3)
    assert centre[1] == pytest.approx(20 * 4, abs=3)


def test_small_pictures_in_a_padded_batch_are_cut_at_the_right_scale():
    """torchvision infers a map's stride from the picture's size: 70 px padded to 128 would make 4 a 2."""
    from gpunet.detection.cascade import PyramidRoIAlign

    ramp = torch.arange(32.0)[None, None, :, None].expand(1, 1, 32, 32).contiguous()
    cut = PyramidRoIAlign(1, 4)({"0": ramp}, [torch.tensor([[0.0, 28.0, 28.0, 56.0]])], [(70, 70)])
    assert cut[0, 0, :, 3].mean().item() == pytest.approx(42 / 4 - 0.5, abs=0.6)


def test_frozen_batch_norm_keeps_all_of_it():
    model = cascade_rcnn("lcnet_050", ["cat"], **{**QUICK, "frozen_batch_norm": True})
    before = {name: value.clone() for name, value in model.backbone.network.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    sum(losses_of(model.train(), [SOME, NONE]).values()).backward()
    optimizer.step()
    after = model.backbone.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("bn" in name or "running" in name for name in changed)


@pytest.mark.parametrize("backbone", ["lcnet_050", "little"])
def test_a_detector_is_made_again_from_its_spec(backbone: str, little: str):
    model = cascade_rcnn(little if backbone == "little" else backbone, ("cat", "dog"), **QUICK)
    spec = DetectorSpec.from_dict(json.loads(json.dumps(model.spec.to_dict())))
    assert spec == model.spec
    again = detector_from_spec(spec)
    again.load_state_dict(model.state_dict())
    with torch.inference_mode():
        one, other = model.eval()(pictures()), again.eval()(pictures())
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_classes_may_be_a_number():
    assert cascade_rcnn("lcnet_050", 2, **QUICK).classes == ("class_1", "class_2")
    with pytest.raises(InvalidArgumentError, match="classes must be an integer of 1 or more, but got 0"):
        cascade_rcnn("lcnet_050", 0, **QUICK)


def test_normalisation_is_the_backbones():
    model = cascade_rcnn("gpunet_0", ["cat"], **QUICK)
    assert model.transform.image_mean == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize(
    ("backbone", "options", "error", "message"),
    [
        ("vit_tiny_patch16_224", {}, InvalidArgumentError, "does not run on pictures of any size"),
        ("nothing_there", {}, UnknownModelError, "'nothing_there' is no model of the zoo"),
        ("lcnet_050", {"sides": 3}, InvalidArgumentError, "unknown argument 'sides'"),
        ("lcnet_050", {"long_px": 32}, SpecError, "long_px: 32 .*short_px, 64"),
        ("lcnet_050", {"classes": []}, SpecError, "classes: there is none"),
        ("lcnet_050", {"classes": ["a", "a"]}, SpecError, "classes: 'a' is there twice"),
        ("lcnet_050", {"classes": ["a", ""]}, SpecError, "classes: .* are not names"),
    ],
)
def test_what_is_refused(backbone: str, options: dict, error: type[Exception], message: str):
    classes = options.pop("classes", ["cat"])
    with pytest.raises(error, match=message):
        cascade_rcnn(backbone, classes, **{**QUICK, **options})


def test_a_network_without_maps(tmp_path: Path):
    path = tmp_path / "flat.json"
    path.write_text(
        json.dumps({**{key: PLAIN[key] for key in ("resolution_px", "stem", "head")}, "stages": PLAIN["stages"][:1]}),
        encoding="utf-8",
    )
    with pytest.raises(InvalidArgumentError, match="names no feature maps of strides from 4 to 32"):
        cascade_rcnn(str(path), ["cat"], **QUICK)


def test_specs_are_checked():
    with pytest.raises(SpecError, match="backbone: 3 is neither"):
        DetectorSpec(3, ("a",))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="kind"):
        DetectorSpec("lcnet_050", ("a",), "yolo")
    with pytest.raises(SpecError, match=r"mean: .* are not three numbers"):
        DetectorSpec("lcnet_050", ("a",), mean=(0.5,))
    with pytest.raises(SpecError, match="anchor_strides"):
        DetectorSpec("lcnet_050", ("a",), anchor_strides=0)
    with pytest.raises(SpecError, match="detector_version: 2 is not 1"):
        DetectorSpec.from_dict({"detector_version": 2})
    with pytest.raises(SpecError, match="sides: unknown key"):
        DetectorSpec.from_dict({"detector_version": 1, "backbone": "a", "classes": ["a"], "sides": 1})


def test_a_spec_from_a_file(tmp_path: Path):
    with pytest.raises(SpecError, match="cannot be read"):
        DetectorSpec.read(tmp_path / "detector.json")
    (tmp_path / "detector.json").write_text("{", encoding="utf-8")
    with pytest.raises(SpecError, match="is damaged"):
        DetectorSpec.read(tmp_path / "detector.json")
