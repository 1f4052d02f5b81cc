"""The help topic on settings in files: `bulkwriter help config`.

Plain text of at most 82 columns, as all topics are (`manual`).  What it says of the order of values, and of what the
file of a working folder may not do, is what `config_files` does; `tests/cli/test_config_files.py` holds both to it.

Not here: the settings themselves, which `help settings` prints from their own table.
"""

from __future__ import annotations

from typing import Final

CONFIG: Final = """\
Settings in a file

A setting that stands in a file need not be given each time.  Two files are read,
if they are there:

  bulkwriter.toml                          in the folder you work in
  ~/.config/bulkwriter/bulkwriter.toml     your own ($XDG_CONFIG_HOME counts)

  bulkwriter config path                   shows where they are looked for
  bulkwriter config show                   shows every setting, its value, and
                                           where the value comes from

The keys are the options of `bulkwriter run` without their dashes:

  base-url = "https://spaces.nexudus.com"
  token-file = "token"                     # next to this file
  quota = ["write:60/min", "write:2500/day"]
  on-quota = "stop"

  [profile.night]
  rate = "30/min"

`--profile night` (or BULKWRITER_PROFILE=night) adds the keys of that table.

Which value counts

  1. an option of the command line
  2. a variable of the environment: BULKWRITER_ON_QUOTA=stop
  3. the profile in the working folder's file, then the one in your own
  4. the top of the working folder's file, then the top of your own
  5. the default

What concerns one source or one call is not set by a file: journal, limit,
dry-run, retry, after-loss, header-line, json, yes and verbose.

What the file of a working folder may not do

A folder may come from somebody else, with its bulkwriter.toml in it.  So:

  - It names no proxy, no certificates, no command (on-end, token-command) and no
    file to write (log-file, metrics-file, report, ledger).  Only your own file does.
  - A server that it names is told on each run.  No sign-in that you stored, that
    stands in your own file or in the environment is sent there, nor a file from
    outside of the folder.
  - What it sets of account, existing, quotas and waits is told on each run.
  - If you trust that server, give it with --base-url, or name it in your own file.

No file holds a secret.  It names the file that does: token-file, password-file.
Your own file may name a command that prints a token instead: token-command.
An unknown key, or a value of the wrong type, ends the command with exit 2 before
anything is sent, and says where it stands.
"""
