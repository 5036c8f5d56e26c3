"""The hub's client, asked once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler

import huggingface_hub
import pytest
from helpers.checkpoints import Server, send
from huggingface_hub import constants

from gpunet.core.hub import asking_hub_once, opening_dataset

LOGGER = logging.getLogger("huggingface_hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A hub that answers nothing but that there is no such page."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with Server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        getattr(huggingface_hub, "close_session", lambda: None)()  # its first releases keep no session


def _settings() -> tuple[int, bool]:
    return LOGGER.level, constants.HF_HUB_OFFLINE


@pytest.mark.usefixtures("hub")
def test_a_hub_that_answers_is_asked() -> None:
    before = _settings()
    with asking_hub_once():
        assert _settings() == (logging.ERROR, False)
    assert _settings() == before


def test_one_that_cannot_be_reached_is_not(monkeypatch: pytest.MonkeyPatch, hub: Server) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    before = _settings()
    with asking_hub_once():
        assert _settings() == (logging.ERROR, True)
    assert _settings() == before


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
def test_who_stops_waiting_finds_all_as_it_was(hub: Server) -> None:
    main, before = threading.main_thread().ident, _settings()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        signal.pthread_kill(main or 0, signal.SIGINT)
        send(handler, b"")

    hub.answers["/"] = answer
    handler_before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt), asking_hub_once():
            pass
    finally:
        signal.signal(signal.SIGINT, handler_before)
    assert _settings() == before


@pytest.mark.parametrize("name", ["hfds/me/pictures", "HFIDS/me/pictures"])
def test_a_dataset_of_the_hub_is_opened_so(hub: Server, name: str) -> None:
    with opening_dataset(name):
        assert LOGGER.level == logging.ERROR
    assert hub.requests
    assert isinstance(opening_dataset("torch/cifar10"), nullcontext)
