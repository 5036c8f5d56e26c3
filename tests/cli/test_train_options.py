"""Options of `gpunet train` that contradict each other, or are out of range, before anything is trained."""

from __future__ import annotations

import argparse

import pytest

from gpunet.cli.train import add_arguments, run
from gpunet.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--seed", "-1", "--fraction", "0.1"], "--seed must be at least 0 and below 2^63, but got -1"),
        (["--seed", str(2**63)], "--seed must be at least 0 and below 2^63, but got 9223372036854775808"),
        (["--teacher-weights", "a.pth"], "--teacher-weights is given, but there is no teacher"),
        (["--min-teacher-top1", "90"], "--min-teacher-top1 is given, but there is no teacher"),
    ],
)
def test_what_cannot_be_is_said(given: list[str], said: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(InvalidArgumentError) as caught:
        run(parser.parse_args(["--data", "digits", *given]))
    assert said in caught.value.message
