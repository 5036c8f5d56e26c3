"""Devices by the names that people use, cut from boards, and sheets of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpunet.errors import ABSENT_EXIT_CODE, EntryError, UnknownDeviceError
from gpunet.latency.gpu.sheets import chip_of, known_sheets, read_sheets, sheet_named

HEADER = (
    "name,architecture,sms,cuda_cores,boost_mhz,mem_bw_gbs,l2_mb,fp32_tflops,fp16_tflops,fp16_tensor_tflops_dense,"
    "int8_tensor_tops_dense,tdp_w,note\n"
)
OWN = "Own 1,Ada,20,2560,2000,200,24,10,10,40,80,60,a laptop\n"


@pytest.mark.parametrize(
    ("name", "board"),
    [
        ("t4", "T4"), ("Tesla T4", "T4"), ("l4", "L4"), ("rtx4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("jetson-agx-orin", "AGX Orin"), ("jetson-nano", "Jetson Nano"), ("jetson orin nano", "Orin Nano"),
        ("Tesla V100-SXM2-16GB", "V100"), ("gv100", "Quadro GV100"), ("NVIDIA A100-SXM4-80GB", "A100"),
        ("rtx-2060-max-q", "RTX 2060 Max-Q"), ("titan v", "TITAN V"), ("agx-orin-30w", "AGX Orin 30W"),
        ("a100-mig-3g.20gb", "A100 3g"), ("h100", "H100 SXM"), ("tx2", "Jetson TX2"),
    ],
)  # fmt: skip
def test_a_name_means_a_board(name: str, board: str):
    assert sheet_named(name).name == board


def test_every_sheet_is_found_by_its_name_and_its_key():
    for sheet in known_sheets():
        assert sheet_named(sheet.name) == sheet
        assert sheet_named(sheet.key) == sheet


def test_a_slice_has_its_share_of_the_board():
    whole, part = sheet_named("a100"), sheet_named("a100-1g.5gb")
    assert part.fp16_tensor_tflops_dense / whole.fp16_tensor_tflops_dense == pytest.approx(14 / 108)
    assert part.mem_bw_gbs / whole.mem_bw_gbs == pytest.approx(1 / 8, rel=1e-3)
    assert chip_of(part) != chip_of(whole)


def test_another_clock_moves_the_rates_and_not_the_memory():
    whole, slow = sheet_named("rtx4090"), sheet_named("rtx4090@1260mhz")
    assert slow.fp32_tflops == pytest.approx(whole.fp32_tflops / 2)
    assert slow.mem_bw_gbs == whole.mem_bw_gbs


def test_an_unknown_gpu_names_close_ones():
    with pytest.raises(UnknownDeviceError, match="no specification sheet of a GPU 'rtx 4091'") as error:
        sheet_named("rtx 4091")
    assert "rtx4090" in error.value.nearest


def test_a_sheet_of_ones_own(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text(HEADER + OWN, encoding="utf-8")
    (sheet,) = read_sheets(path)
    assert sheet_named("own 1", (sheet,)).note == "a laptop"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER, "holds no sheet"),
        ("name,sms\nx,1\n", "column 'architecture' is missing"),
        (HEADER + OWN.replace("Ada", "Adam"), "architecture must be one of"),
        (HEADER + OWN.replace(",20,", ",0,"), "sms must be a finite number above 0"),
        (HEADER + OWN.replace(",20,", ",many,"), "many"),
    ],
)
def test_a_file_that_holds_none_says_why(text: str, said: str, tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EntryError, match=said):
        read_sheets(path)


def test_a_sheet_that_is_not_there_is_absent(tmp_path: Path):
    with pytest.raises(EntryError, match=r"none.csv: no sheet of a GPU can be read from it: No such file") as caught:
        read_sheets(tmp_path / "none.csv")
    assert caught.value.exit_code == ABSENT_EXIT_CODE
    assert "Errno" not in str(caught.value)
