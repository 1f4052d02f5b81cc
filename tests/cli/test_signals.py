"""The first signal asks, the second leaves, also while the main thread hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from bulkwriter.cli.signals import WATCHED, Signals


def send(number: int) -> None:
    """To the thread that waits for signals: one sent to the process could reach a thread that others left behind."""
    (ident,) = (t.ident for t in threading.enumerate() if t.name == "signals")
    assert ident is not None
    signal.pthread_kill(ident, number)


class Heard:
    """What the callbacks were told, with events to wait on."""

    def __init__(self) -> None:
        self.first: list[signal.Signals] = []
        self.left: list[int] = []
        self.is_first = threading.Event()
        self.is_left = threading.Event()
        self.last_words: list[int] = []

    def signals(self, echo_s: float = 0.0) -> Signals:
        return Signals(on_first=self.on_first, on_second=self.on_second, leave=self.leave, echo_s=echo_s)

    def on_first(self, number: signal.Signals) -> None:
        self.first.append(number)
        self.is_first.set()

    def on_second(self, code: int) -> None:
        self.last_words.append(code)

    def leave(self, code: int) -> None:
        self.left.append(code)
        self.is_left.set()


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("number", WATCHED)
def test_first_asks_and_second_leaves_with_the_code_of_the_first(number: signal.Signals) -> None:
    heard = Heard()
    with heard.signals() as signals:
        assert signals.exit_code is None
        send(number)
        assert heard.is_first.wait(5)
        assert not heard.left
        send(signal.SIGTERM)
        assert heard.is_left.wait(5)
    assert heard.first == [number]
    assert heard.left == [128 + number] == [signals.exit_code]
    assert heard.last_words == heard.left


def test_an_echo_of_the_first_is_no_second_but_another_signal_is() -> None:
    heard = Heard()
    with heard.signals(echo_s=60):
        send(signal.SIGTERM)
        assert heard.is_first.wait(5)
        send(signal.SIGTERM)
        assert not heard.is_left.wait(0.2)
        send(signal.SIGINT)
        assert heard.is_left.wait(5)
    assert heard.left == [143]
    assert heard.last_words == [143]


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    heard = Heard()
    with heard.signals():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert not heard.first
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script runs us as its job
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, handler)


HANGING = """
import os, signal, sys, time
from bulkwriter.cli.signals import Signals
def first(number):
    print("first", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
with Signals(on_first=first, on_second=lambda code: time.sleep(60), echo_s=0) as s:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, [])
    os.read(os.pipe()[0], 1)   # the main thread hangs in the kernel for good
"""


@pytest.mark.slow
def test_the_second_leaves_though_the_main_thread_and_the_last_words_hang() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, timeout=180, check=False)
    assert (done.returncode, done.stdout) == (130, b"first\n")


IGNORING = """
import os, signal, sys, time
ignored = [signal.Signals[name] for name in sys.argv[1:]]
for number in ignored:
    signal.signal(number, signal.SIG_IGN)
from bulkwriter.cli.signals import WATCHED, Signals
with Signals(on_first=lambda n: print(n.name, flush=True), on_second=lambda code: None):
    for number in ignored:
        os.kill(os.getpid(), number)
    time.sleep(0.1)
    for number in WATCHED:
        if number not in ignored:
            os.kill(os.getpid(), number)
            time.sleep(0.1)
            break
    began_at = time.monotonic()
assert time.monotonic() - began_at < 0.9   # nobody waited for the thread in vain
"""


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize(
    ("ignored", "heard"),
    [
        ("SIGHUP", "SIGINT\n"),
        ("SIGINT", "SIGTERM\n"),
        ("SIGTERM", "SIGINT\n"),
        ("SIGINT SIGTERM", "SIGHUP\n"),
        ("SIGINT SIGTERM SIGHUP", ""),
    ],
)
def test_what_the_starter_ignores_stays_ignored(ignored: str, heard: str) -> None:
    command = [sys.executable, "-c", IGNORING, *ignored.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, heard, "")
