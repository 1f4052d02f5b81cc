"""`status --watch`: the same answer again while the run lives, and the terminal put right whatever ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bulkwriter.cli import watch
from bulkwriter.cli.watch import ENTER, LEAVE, Standing, wrapped
from tests.support.cli_process import Here, stub, write_pairs

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda s: None)


def standing(place: int, *, is_alive: bool = True) -> Standing:
    return Standing(is_alive, [f"row {place}", "", "long " * 40], f"line {place}", {"place": place})


def looks(*more: Callable[[], object]) -> Callable[[], Standing]:
    """Two looks at a living run and one at its end; `more` is called before the second one."""

    def all_of_them() -> Iterator[Standing]:
        yield standing(1)
        for act in more:
            act()
        yield standing(2)
        yield standing(3, is_alive=False)

    found = all_of_them()
    return lambda: next(found)


def test_without_a_terminal_it_is_a_dated_line_a_look_and_the_whole_at_the_end(capsys: Captured) -> None:
    assert watch.watch(looks(), as_json=False, is_drawable=False) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+  ", "", line) for line in (first, second)] == [
        "line 1",
        "line 2",
    ]
    assert rest[0] == "row 3"


def test_json_is_an_object_a_look(capsys: Captured) -> None:
    assert watch.watch(looks(), as_json=True, is_drawable=False) == 0
    assert [json.loads(line)["place"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]


def test_on_a_terminal_it_is_drawn_over_and_the_end_stays(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "8")
    assert watch.watch(looks(), as_json=False, is_drawable=True) == 0
    drawn, left, after = capsys.readouterr().out.partition(LEAVE)
    assert drawn.startswith(ENTER)
    assert left
    assert drawn.count("Ctrl-C ends") == 2
    assert f"not the\r\n{watch.END_OF_ROW}  run" in drawn, "on a narrow one, too, it is told whole"
    assert "…" in drawn, "what does not fit is left out"
    assert after.splitlines()[0] == "row 3"


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_without_a_word(capsys: Captured, number: int, code: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    look = looks(lambda: os.kill(os.getpid(), number))
    assert watch.watch(look, as_json=False, is_drawable=True) == code
    out, err = capsys.readouterr()
    assert out.endswith(LEAVE)
    assert err == ""
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("columns", [20, 40, 60, 80])
def test_no_row_is_wider_than_the_terminal(columns: int) -> None:
    assert max(map(len, wrapped("word       " + "some text " * 30, columns))) <= columns


@pytest.mark.slow
def test_a_run_that_has_ended_is_shown_once(here: Here, tmp_path: Any) -> None:
    with stub() as server:
        done = here.run(write_pairs(tmp_path / "pairs.csv", 5), server)
    assert done.code == 0
    plain, watched = (here("status", f"{tmp_path}/pairs.csv.journal", *args) for args in ((), ("--watch",)))
    assert (watched.code, watched.out) == (0, plain.out)
