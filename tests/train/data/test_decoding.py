from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpunet.model.decoding import UNREADABLE, decoded, read_picture
from gpunet.train.data.datasets import open_data

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOUR = np.stack([GREY, 255 - GREY, np.full_like(GREY, 7)], axis=-1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(GREY.astype(np.uint16) * 256 + 3).save(path)
    assert np.array_equal(np.asarray(decoded(path, "L")), GREY)
    assert np.array_equal(np.asarray(decoded(path, "RGB")), np.stack([GREY] * 3, axis=-1))


def test_transparent_palettes_have_their_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(64)
    image.save(tmp_path / "a.png", transparency=bytes(range(64)))
    assert np.array_equal(np.asarray(decoded(tmp_path / "a.png", "RGB")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_any_mode_becomes_the_one_asked_for(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    Image.fromarray(COLOUR).convert(mode).save(path)
    assert (decoded(path, "RGB").mode, decoded(path, "RGB").size) == ("RGB", (8, 8))


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert np.abs(np.asarray(decoded(tmp_path / "a.gif", "L")).astype(int) - GREY).max() < 8


def test_a_damaged_picture_raises_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(UNREADABLE, match="cannot identify"):
        decoded(path, "RGB")
    Image.fromarray(COLOUR).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    with pytest.raises(UNREADABLE, match="decompression bomb"):
        decoded(path, "RGB")


def test_a_note_to_turn_a_picture_is_left_unread_by_all(tmp_path: Path) -> None:
    """As timm has it: EXIF's orientation 6, 'turn by a quarter'."""
    wide = Image.fromarray(np.repeat(COLOUR, 2, axis=1))
    note = wide.getexif()
    note[0x0112] = 6
    (tmp_path / "train" / "a").mkdir(parents=True)
    path = tmp_path / "train" / "a" / "0.png"
    wide.save(path, exif=note)
    for picture in (decoded(path, "RGB"), read_picture(path), open_data(tmp_path).dataset[0][0]):
        assert np.array_equal(np.asarray(picture), np.asarray(wide))
