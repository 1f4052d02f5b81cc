"""The scripts for shells, and what the program answers when such a script asks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bulkwriter.cli.main import COMMANDS, main
from tests.support.cli_process import Here


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(here: Here, tmp_path: Path, shell: str) -> None:
    done = here("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_BULKWRITER_COMPLETE={shell}_complete" in done.out
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(done.out)
        subprocess.run([shell, "-n", str(script)], check=True, capture_output=True)


def test_another_shell_is_refused(here: Here) -> None:
    done = here("completion", "tcsh")
    assert done.code == 2
    assert "bash" in done.err


def test_commands_and_options_are_answered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_BULKWRITER_COMPLETE", "bash_complete")
    for words, wanted in (("bulkwriter ", set(COMMANDS)), ("bulkwriter run --on-", {"--on-quota", "--on-end"})):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        capsys.readouterr()
        assert main([]) == 0
        assert {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()} == wanted
