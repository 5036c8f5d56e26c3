"""Queries over timm's networks: filters, throughputs, and what is said of what is left out."""

from __future__ import annotations

import json

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunet
from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, NothingFitsError
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.choice.scope import is_permissive
from gpunet.zoo.query import best
from gpunet.zoo.timm_zoo.entries import timm_entries

ENTRIES = {entry.name: entry for entry in timm_entries()}
FAMILIES = ("mobilenet*", "fastvit*", "*", "convnext*", "eva02*", "resnet50")


def test_a_licence_that_is_not_permissive_leaves_out_and_is_counted():
    found = gpunet.find("rtx4090", min_ips=15000, family="mobileone*", zoo="timm")
    assert (list(found), found.left_out_licences) == ([], {"mobileone-license": 2})
    everything = gpunet.find("rtx4090", min_ips=15000, family="mobileone*", licence="any", zoo="timm")
    assert [match.name for match in everything] == ["mobileone_s1.apple_in1k", "mobileone_s0.apple_in1k"]
    assert everything.left_out_licences == {}
    with pytest.raises(NothingFitsError) as caught:
        gpunet.create("rtx4090", max_ms=None, min_ips=15000, family="mobileone*", zoo="timm")
    assert "licence='any'." in caught.value.hint


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [("apache-2.0", True), ("Apache License 2.0", True), ("mit", True), ("MIT License", True), ("bsd-3-clause", True),
     ("cc-by-4.0", True), ("CC BY 4.0", True), ("cc-by-nc-4.0", False), ("cc-by-nd-4.0", False), ("unknown", False),
     ("", False), ("mit-but-only-on-sundays", False), ("see NGC: none is stated beside the weights", False)],
)  # fmt: skip
def test_what_is_permissive(licence: str, permissive: bool):
    assert is_permissive(licence) is permissive


def test_the_seven_take_part_under_the_same_rules():
    assert gpunet.create("gv100", max_ms=0.8, pretrained=False).entry.name == "gpunet_p0"
    beside = gpunet.find("gv100", max_ms=0.8, zoo="timm")
    assert (list(beside), list(beside.left_out_licences.values())) == ([], [2])
    names = [match.name for match in gpunet.find("gv100", max_ms=0.8, licence="any", zoo="timm")]
    assert names == ["gpunet_p0", "gpunet_0"]
    assert "gpunet_d1" in gpunet.list_models(extra_data=True)
    assert gpunet.list_models(extra_data=False) == ["gpunet_0", "gpunet_1", "gpunet_2", "gpunet_p0", "gpunet_p1"]
    assert gpunet.list_models(licence="permissive") == []
    assert gpunet.list_models(min_ips=1000, family="gpunet_p*") == ["gpunet_p0", "gpunet_p1"]


def test_a_throughput_is_never_a_latency_of_one_image():
    assert gpunet.find("rtx4090", max_ms=1000, zoo="timm") == []
    assert gpunet.find("rtx4090", max_ms=1000, runtime="pytorch", zoo="timm") == []
    assert gpunet.find("rtx4090", max_ms=1000, batch_size=1024, zoo="timm") == []  # its runtime is not named
    with pytest.raises(NothingFitsError, match="no record applies to rtx4090 at batch 1") as caught:
        best(Query(device="rtx4090", max_ms=5), "timm")
    assert "All are images a second, which min_ips=N or --min-ips N asks for." in caught.value.hint
    found = gpunet.find("rtx4090", max_ms=60, batch_size=1024, runtime="pytorch-compile", zoo="timm")
    assert {(match.record.batch_size, match.record.runtime) for match in found} == {(1024, "pytorch-compile")}


def test_of_several_runtimes_the_fastest_counts_and_of_one_the_slowest(tmp_path):
    (match,) = gpunet.find("rtx4090", min_ips=4000, family="resnet50", zoo="timm")[:1]
    assert (match.record.runtime, match.record.throughput_ips) == ("pytorch-compile", 4865.17)
    eager = gpunet.find("rtx4090", min_ips=4000, family="resnet50", runtime="pytorch", zoo="timm")[0]
    assert (eager.record.runtime, eager.record.throughput_ips, eager.entry.input_px) == ("pytorch", 4302.84, 224)
    figures = [("10.4", "0.3"), ("10.4", "0.5"), ("10.5", "0.9")]
    records = [{**RECORD, "runtime_version": version, "latency_ms": ms} for version, ms in figures]
    records += [{**record, "runtime": "openvino", "threads": "4", "chip": "xeon"} for record in records]
    folder = write_zoo(tmp_path, records=records)
    assert gpunet.find("xeon", zoo=folder)[0].latency_ms == 0.5  # the slowest of the faster version
    assert gpunet.find("l4", zoo=folder)[0].latency_ms == 0.9  # TensorRT's family is one runtime


def test_the_answer_is_the_best_tag_that_the_filters_leave():
    best_tag, plain = (
        {match.entry.input_px: match.entry for match in gpunet.find(
            "rtx4090", min_ips=100, family="convnext_tiny", extra_data=extra, zoo="timm")}[224]
        for extra in (None, False)
    )  # fmt: skip
    assert (best_tag.identity, best_tag.extra_data, plain.extra_data) == (plain.identity, True, False)
    assert best_tag.top1_percent > plain.top1_percent


def test_integers_have_an_accuracy_of_their_own(tmp_path):
    accuracy = {"top1_percent": 70.0, "dataset": "imagenet", "source": "me"}
    integers = {**RECORD, "precision": "int8", "latency_ms": "0.1"}
    folder = write_zoo(tmp_path / "float", entry={**ENTRY, "accuracy": accuracy}, records=[RECORD, integers])
    assert [match.latency_ms for match in gpunet.find("l4", zoo=folder)] == [0.4]
    assert gpunet.find("l4", precision="int8", zoo=folder) == []
    own = {**ENTRY, "accuracy": {**accuracy, "precision": "int8"}}
    folder = write_zoo(tmp_path / "int8", entry=own, records=[RECORD, integers])
    assert [match.latency_ms for match in gpunet.find("l4", zoo=folder)] == [0.1]


@settings(max_examples=40)
@given(
    least=st.floats(50, 60000),
    family=st.sampled_from(FAMILIES),
    extra=st.sampled_from((None, True, False)),
    licence=st.sampled_from((None, "any", "permissive")),
    top1=st.sampled_from((None, 70.0, 82.0)),
    most=st.sampled_from((None, 5e6, 30e6)),
    chip=st.sampled_from(("rtx3090", "rtx4090", "rtx5090")),
)
def test_what_is_found_keeps_every_condition_and_comes_once(least, family, extra, licence, top1, most, chip):
    how = {"extra_data": extra, "min_top1": top1, "max_params": most, "min_ips": least}
    found = gpunet.find(chip, family=family, licence=licence, zoo="timm", **how)
    entries = [match.entry for match in found]
    assert all(each.licence != "cc-by-nc-4.0" for each in entries) or licence == "any"
    assert all(extra is None or each.extra_data is extra for each in entries)
    assert all(match.record.throughput_ips >= least and match.record.chip == chip for match in found)
    assert all(top1 is None or each.top1_percent >= top1 for each in entries)
    assert all(most is None or each.parameters <= most for each in entries)
    assert len({each.identity for each in entries}) == len(entries)
    assert [-each.top1_percent for each in entries] == sorted(-each.top1_percent for each in entries)
    wider = gpunet.find(chip, licence="any", zoo="timm", min_ips=least)
    assert {each.identity for each in entries} <= {match.entry.identity for match in wider}
    if licence == "any":
        assert found.left_out_licences == {}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"licence": "gpl"}, "licence must be one of permissive, any, but got 'gpl'"),
        ({"extra_data": "yes"}, "extra_data must be True, False or None, but got 'yes'"),
        ({"family": ""}, "family must be a pattern such as 'mobilenet*', or several, but got ''"),
        ({"family": []}, "family must be a pattern such as 'mobilenet*', or several, but got []"),
        ({"family": 3}, "family must be a pattern such as 'mobilenet*', or several, but got 3"),
        ({"min_ips": 0}, "min_ips must be images a second above 0, but got 0"),
        (
            {"min_ips": 10, "max_ms": 5},
            "max_ms and min_ips together are of one batch size above 1, but batch_size is 1",
        ),
    ],
)
def test_conditions_that_make_no_sense(how, message):
    with pytest.raises(InvalidArgumentError) as caught:
        gpunet.find("rtx4090", zoo="timm", **how)
    assert message in str(caught.value)


def test_the_command_line(capsys):
    given_ = ["-d", "rtx4090", "--min-ips", "20000", "--zoo", "timm", "--family", "mobilenet*", "repghost*"]
    main(["find", *given_, "--no-extra-data"])
    said = capsys.readouterr()
    header, _, first = said.out.splitlines()[:3]
    assert header.split()[5:8] == ["images/s", "batch", "ms"]
    assert first.startswith("repghostnet_130.in1k ")
    main(["find", *given_, "--licence", "any", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["left_out_licences"] == {}
    assert all(match["record"]["kind"] == "throughput" for match in answer["matches"])
    main(["find", "-d", "rtx4090", "--min-ips", "20000", "--zoo", "timm"])
    assert "whose licence is not permissive or not known" in capsys.readouterr().err
    main(["list", "--zoo", "timm", "--family", "mobileone_s*", "--json"])
    assert {each["licence"] for each in json.loads(capsys.readouterr().out)} == {"mobileone-license"}
    with pytest.raises(NothingFitsError, match="no model keeps these conditions"):
        main(["list", "--zoo", "timm", "--family", "nothing*"])
    with pytest.raises(NothingFitsError, match="no model is named like nothing") as caught:
        main(["list", "nothing", "--zoo", "timm"])
    assert caught.value.hint == "There are 1,563; 'gpunet list' names them."


def test_devices_count_a_shared_record_once(capsys):
    main(["list", "--devices", "--zoo", "timm", "--json"])
    facts = {each["board"]: each for each in json.loads(capsys.readouterr().out)}
    assert facts["GeForce RTX 3090"]["records"] == facts["GeForce RTX 3090"]["models"] == 1012
    assert "rtx5090" in gpunet.list_devices(zoo="timm")
    assert "rtx5090" not in gpunet.list_devices()
