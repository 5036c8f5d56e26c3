from __future__ import annotations

import socket
from typing import Any

import pytest

from gpunet.cli.main import main
from gpunet.errors import StudyError, StudyUnavailableError, UsageError
from gpunet.search.study.opening import open_study


def search(*arguments: object) -> None:
    main(["search", *map(str, arguments)])


def test_a_proxy_on_a_port_that_is_taken(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("grpc")
    with pytest.raises(StudyError, match="grpc://host:1 is a proxy itself"):
        search("proxy", "--study", "grpc://host:1")
    with pytest.raises(StudyError, match=r"no-such-host\.invalid:1 cannot be listened on") as caught:
        search("proxy", "--study", url, "--host", "no-such-host.invalid", "--port", 1)
    assert caught.value.hint == "Choose another: --port, --host."


def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc")
    known = open_study

    def impatient(*arguments: Any, **options: Any) -> Any:
        return known(*arguments, **{**options, "patience_s": 0.1})

    monkeypatch.setattr("gpunet.search.study.opening.open_study", impatient)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        with pytest.raises(StudyUnavailableError, match="does not serve") as caught:
            search("status", "--study", f"grpc://127.0.0.1:{one.getsockname()[1]}")
    assert caught.value.hint == "When it answers again, run the same command: everything recorded is kept."


@pytest.mark.parametrize("port", [0, 65536, -1, "http"])
def test_a_port_that_is_none(port: object, url: str) -> None:
    with pytest.raises(UsageError, match="--port"):
        search("proxy", "--study", url, "--port", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_another_process_listens_on(host: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("grpc")
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as gRPC's own servers do
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        with pytest.raises(StudyError, match=f"{host}:{port} cannot be listened on: Address already in use"):
            search("proxy", "--study", url, "--host", host, "--port", port)
    assert capsys.readouterr().out == ""
