"""Stands between a benchmark and the child that it measures, so that the child's peak memory is its own.

    python -I -S launcher.py FD COMMAND [ARG ...]

A process starts with the peak of what it was made from: `wait4` never tells less than the memory of the process that
forked, and neither `vfork` nor `exec` forgets it.  So the one that forks is this: a bare interpreter, some 8 MB.  When
the command has ended, one line of JSON is written to FD; standard input, output and error are the command's.  It
imports nothing of ours.
"""

import os
import sys
import time


def main(report_fd: int, argv: list[str]) -> None:
    os.set_inheritable(report_fd, False)
    began_at = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.execvp(argv[0], argv)  # noqa: S606  no shell is wanted
        except OSError as e:
            os.write(2, f"{argv[0]}: {e.strerror}\n".encode())
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.monotonic() - began_at
    told = (
        f'{{"began_at":{began_at!r},"wall_s":{wall_s!r},"exit_code":{os.waitstatus_to_exitcode(status)},'
        f'"user_s":{usage.ru_utime!r},"system_s":{usage.ru_stime!r},"peak":{usage.ru_maxrss}}}'
    )
    os.write(report_fd, told.encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
