"""stdout that cannot be written: every command says so and ends with 74; a reader that left early is nothing to say."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bulkwriter.cli.main import main
from bulkwriter.cli.stdout import Stdout
from bulkwriter.errors import Exit
from tests.conftest import CANARY
from tests.support.cli_process import FAST, finish, run, start, stub, write_pairs

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


class Failing(io.StringIO):
    """A stream that fails at the first write, or, as buffers do, at the first flush."""

    def __init__(self, error: BaseException, *, at_flush: bool) -> None:
        super().__init__()
        self._error = error
        self._at_flush = at_flush

    def write(self, text: str) -> int:
        if not self._at_flush:
            raise self._error
        return len(text)

    def flush(self) -> None:
        if self._at_flush:
            raise self._error


FAILURES: list[tuple[BaseException, str]] = [
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
    (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
    (OSError(errno.EBADF, os.strerror(errno.EBADF)), "it is closed"),
    (ValueError("I/O operation on closed file."), "it is closed"),
    (BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), ""),
]


@pytest.mark.parametrize("at_flush", [False, True])
@pytest.mark.parametrize(("error", "told"), FAILURES, ids=[type(e).__name__ + told for e, told in FAILURES])
def test_the_first_failure_ends_the_writing_and_is_told_at_the_end(
    error: BaseException, told: str, at_flush: bool
) -> None:
    out = Stdout(Failing(error, at_flush=at_flush))
    assert out.write("a") == 1
    assert out.buffer.write(b"b") == 1
    out.flush()
    assert out.is_gone
    assert out.trouble == told
    if not told:
        assert out.settle(0, is_run=False) == (0, "")
        return
    said = f"error: cannot write stdout: {told}"
    assert out.settle(0, is_run=False) == (74, said)
    assert out.settle(1, is_run=False) == (74, said)
    assert out.settle(Exit.USAGE, is_run=False) == (2, said)
    assert out.settle(0, is_run=True) == (74, said)
    assert [out.settle(code, is_run=True)[0] for code in (1, 3, 75, 143)] == [1, 3, 75, 143]


def test_without_a_stream_what_is_written_is_missed() -> None:
    assert Stdout(None).settle(0, is_run=False) == (0, "")
    out = Stdout(None)
    out.write("a")
    assert out.settle(0, is_run=False) == (74, "error: cannot write stdout: it is closed")


@pytest.fixture(scope="module")
def done_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, and the journal of a run that is done."""
    folder = tmp_path_factory.mktemp("done")
    with stub() as server:
        assert run(write_pairs(folder / "pairs.csv", 20), server).code == 0
        (folder / "base_url").write_text(server.base_url, encoding="ascii")
    return folder


COMMANDS = (
    "--version", "--help", "help", "help replies", "run --help", "status {journal}", "status {journal} --json",
    "export {journal} --state created --output -", "plan {source} --existing skip {server}",
    "plan {source} --existing skip --json {server}", "run {source} --dry-run --json {server}",
)  # fmt: skip
"""Those that need no server."""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_told_by_every_command(
    done_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    names = {"journal": done_run / "pairs.csv.journal", "source": done_run / "pairs.csv"}
    line = command.format(**names, server=f"--base-url {(done_run / 'base_url').read_text()}")
    monkeypatch.setattr(sys, "stdout", Failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), at_flush=True))
    assert main(shlex.split(line)) == 74, line
    said = capsys.readouterr().err.splitlines()
    assert [text for text in said if "stdout" in text] == ["error: cannot write stdout: No space left on device"]


@needs_full
@pytest.mark.slow
def test_a_full_disk_is_told_by_the_commands_that_ask_a_server(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20)
    journal = str(source) + ".journal"
    with stub() as server, FULL.open("w") as full:
        where = ["--base-url", server.base_url, "--json", *FAST[:1]]
        assert finish(start("run", str(source), *where, stdout=full)).code == 74
        assert server.truth()["records"] == 20
        refused = write_pairs(tmp_path / "bad.csv", 2)
        refused.write_text(refused.read_text() + "0,0\n")
        mixed = finish(start("run", str(refused), *where, stdout=full))
        assert mixed.code == 1, "a run's own code counts"
        assert "cannot write stdout: No space" in mixed.err
        for command in (["verify", journal], ["undo", journal, "--yes"]):
            done = finish(start(*command, *where, stdout=full))
            assert done.code == 74, done.err
            assert "error: cannot write stdout: No space left on device" in done.err
    done = finish(start("stub", "--port=0", "--json", "--until-stdin-ends", stdout=full_again()))
    assert done.code == 74, done.err


def full_again() -> int:
    return os.open(FULL, os.O_WRONLY)


@pytest.mark.slow
@pytest.mark.parametrize("redirect", [">&-", ">/dev/full", "| head -c 1 >/dev/null", "| true"])
def test_in_a_shell(done_run: Path, redirect: str) -> None:
    """Closed, full, read in part, not read: what a shell's user sees, Python's own words at exit included."""
    if "full" in redirect and not FULL.exists():
        pytest.skip("no /dev/full here")
    line = f'"{sys.executable}" -m bulkwriter export pairs.csv.journal --state created --output - {redirect}'
    shell = ["bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}} >&2"]
    done = subprocess.run(
        shell, cwd=done_run, capture_output=True, text=True, timeout=180, env={**os.environ, "BULKWRITER_TOKEN": CANARY}
    )
    *said, code = done.stderr.splitlines()
    if "|" in redirect:
        assert code == "0"
        assert [line for line in said if "pairs created" not in line] == []
    else:
        assert code == "74"
        assert len(said) == 1
        assert said[0].startswith("error: cannot write stdout: ")
    assert CANARY not in done.stderr


def full_pipe() -> tuple[int, int]:
    """A pipe of 4 kB that takes nothing more: both its ends."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4_096)
    os.write(write_end, b"." * 4_096)
    return read_end, write_end


def test_a_last_line_that_nobody_takes_is_given_up_and_told() -> None:
    read_end, write_end = full_pipe()
    with os.fdopen(write_end, "w", closefd=False) as stream:
        out = Stdout(stream)
        out.write_last("done\n", within_s=0.05)
        assert out.is_gone
        assert out.settle(0, is_run=True) == (74, "error: cannot write stdout: nobody read it for 0.05 s")
    assert os.read(read_end, 8_192) == b"." * 4_096
    for end in (read_end, write_end):
        os.close(end)


def test_a_last_line_longer_than_the_pipe_is_written_as_it_is_read() -> None:
    read_end, write_end = full_pipe()
    text, got = "\u0416" * 30_000 + "\n", bytearray()

    def read() -> None:
        while piece := os.read(read_end, 1_000):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(write_end, "w", encoding="utf-8") as stream:
        out = Stdout(stream)
        out.write("before ")
        out.write_last(text, within_s=30)
        assert out.settle(0, is_run=True) == (0, "")
    reader.join()
    os.close(read_end)
    assert got[4_096:].decode() == "before " + text


def test_a_last_line_to_a_reader_that_left_or_a_stream_without_a_file() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        out = Stdout(stream)
        out.write_last("done\n", within_s=5)
        assert (out.is_gone, out.trouble) == (True, "")
    text = io.StringIO()
    Stdout(text).write_last("done\n", within_s=5)
    assert text.getvalue() == "done\n"


@pytest.mark.slow
def test_a_run_ends_though_nobody_reads_its_stdout(tmp_path: Path) -> None:
    """It stayed until a second SIGTERM, with everything written."""
    source = write_pairs(tmp_path / "pairs.csv", 20)
    read_end, write_end = full_pipe()
    with stub() as server:
        process = start("run", str(source), "--base-url", server.base_url, "--json", stdout=write_end)
        os.close(write_end)
        assert process.wait(180) == 74
        assert server.truth()["records"] == 20
    os.close(read_end)
    assert "error: cannot write stdout: nobody read it for 10 s" in finish(process).err
