"""`scripts/signins [KILLS] [SEED]`: two runs share one sign-in, and one of them is killed while it renews it.

The token lives for seconds.  Who renews holds a lock, which the kernel tells.  That process is killed after a time
drawn by chance, from before its request until after its save.  Where a kill took the refresh token with it, a note says
so, and `bulkwriter login` is given before the token ends, as a person would.  After a kill the next renewal is left in
peace.  No run may then end in any other way than by a kill or with 0, and the server must have no pair twice.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from bulkwriter.store.sign_in_file import SignInFile
from bulkwriter.stub.thread import StubThread
from tests.support.cli_process import write_pairs
from tests.support.library import truth
from tests.support.progress import say

LIFE_S: Final = 16.0
"""Of a token: half of it is time enough for a start, its note and a login, also on a busy machine."""
LATENCY_S: Final = 0.4
"""Of every reply, so that a renewal lasts long enough to be hit."""
RATE: Final = 20
PASSWORD: Final = "open-sesame"
MOST_S: Final = 1_800.0
LOST: Final = "The token is good until"


class Runs:
    """Two runs of their own sources, each started again after a kill."""

    def __init__(self, folder: Path, url: str, pairs: int) -> None:
        self._folder, self._url = folder, url
        self._env = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "BULKWRITER_CONFIG": "none"}
        self.sources = [write_pairs(folder / f"{i}.csv", pairs, first=1 + i * pairs) for i in range(2)]
        self.logs = [folder / f"{i}.log" for i in range(2)]
        self.file = SignInFile(folder / "state" / "bulkwriter" / "sign-ins", url, None)
        self.bad: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def login(self) -> None:
        (self._folder / "password").write_text(PASSWORD)
        how = ("--username=ann", f"--password-file={self._folder / 'password'}")
        done = subprocess.run(self._line("login", *how), env=self._env, capture_output=True, text=True, check=False)
        if done.returncode:
            self.bad.append(f"login: {done.returncode} {done.stderr}")

    def start(self, i: int) -> subprocess.Popen[bytes]:
        line = self._line("run", str(self.sources[i]), f"--rate={RATE}/s", "--doubt-wait=0.4", "--progress=none")
        with self.logs[i].open("ab") as log:
            return subprocess.Popen(line, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_all(self) -> None:
        self.processes = [self.start(i) for i in range(2)]

    def kill(self, i: int) -> bool:
        """Kill one and start it again; False if it had ended by itself, as it should not yet."""
        process = self.processes[i]
        if process.poll() is not None:
            return False
        process.kill()
        process.wait()
        self.processes[i] = self.start(i)
        return True

    def holder(self) -> int:
        """The process that renews the sign-in now, as the kernel knows it, without touching its lock; 0 for none."""
        inode = Path(f"{self.file.path}.lock").stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                return int(words[4])
        return 0

    def renewed_at(self) -> float:
        """When the sign-in was renewed last; 0 while it cannot be."""
        stored = self.file.load()
        return stored.obtained_at if stored and stored.refresh_token else 0.0

    def lost(self) -> int:
        """How often a run has said that the refresh token is lost."""
        return sum(log.read_text(errors="replace").count(LOST) for log in self.logs if log.exists())

    def _line(self, name: str, *args: str) -> list[str]:
        return [sys.executable, "-m", "bulkwriter", name, *args, "--base-url", self._url]


def main(kills: int = 50, seed: int = 1) -> int:
    rng, began_at = random.Random(seed), time.monotonic()
    counts = Counter[str]()
    users = [{"username": "ann", "password": PASSWORD}]
    pairs = int(kills * LIFE_S * RATE)  # more than the kills need; what is left is cut at the end
    with (
        tempfile.TemporaryDirectory() as folder,
        StubThread({"users": users, "token_life_s": LIFE_S, "latency_s": LATENCY_S}) as server,
    ):
        runs = Runs(Path(folder), server.base_url, pairs)
        runs.login()
        runs.start_all()
        said, killed_at = 0, 0.0
        while counts["kills"] < kills and time.monotonic() - began_at < MOST_S and not runs.bad:
            if (now := runs.lost()) > said:
                said, counts["lost"] = now, counts["lost"] + 1
                runs.login()
            for i, process in enumerate(runs.processes):
                if process.poll() is not None:
                    runs.bad.append(f"run {i} ended with {process.returncode}: {runs.logs[i].read_text()[-800:]}")
            if renewing := runs.holder():
                time.sleep(rng.uniform(0.0, 1.1 * LATENCY_S))
                is_within = runs.holder() == renewing
                for i, process in enumerate(runs.processes):
                    renewed_at = runs.renewed_at()
                    if process.pid == renewing and renewed_at not in (0.0, killed_at) and runs.kill(i):
                        counts["kills"] += 1
                        counts["within"] += is_within
                        killed_at = renewed_at  # the next try ends in peace, so that somebody tells of a loss
            time.sleep(0.002)
        for process in runs.processes:
            process.terminate()
        ended = Counter(process.wait(60) for process in runs.processes)
        written, doubled = truth(server)
        tokens = server.truth()["operations"]["token"]
    took_s = time.monotonic() - began_at
    say(
        f"{counts['kills']} kills, {counts['within']} of them while the lock was held, in {took_s / LIFE_S:.0f} lives "
        f"of a token, {tokens} token requests, {counts['lost']} refresh tokens lost"
    )
    say(f"{len(runs.bad)} runs failed; {written:,} records, {doubled} doubled; ended with {dict(ended)}")
    for words in runs.bad:
        say(words)
    say(f"({took_s:.0f} s; scripts/signins {kills} {seed})")
    return 1 if runs.bad or doubled or counts["kills"] < kills else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
