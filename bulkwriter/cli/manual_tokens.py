"""The help topic on signing in, tokens and roles, for operators: `bulkwriter help tokens`.

Plain text of at most 82 columns, as all topics are (`manual`).  What it says of the stored sign-in is what
`store.sign_in_file` and `net.stored_token` do, and what it says of the order of the ways `choose` and `config_files`.

Not here: which settings there are (`help settings`), and settings in files (`manual_config`).
"""

from __future__ import annotations

from typing import Final

TOKENS: Final = """\
Signing in: tokens and roles

Sign in once.  Every run of yours on this machine then uses that sign-in:

  bulkwriter login              asks for user name, password and two-factor code
  bulkwriter check pairs.csv    says whether the server takes it, and your roles
  bulkwriter logout             removes it

`login` stores tokens and not the password, in a file that only you can read; it
prints where.  The sign-in is for one server (--base-url) and one --account; for
another one, sign in with these options too.  It is never sent to another server.

A token is good for 7 days.  From half of that on, the next run renews it for all
of them, so runs of weeks go on by themselves.  If a run is killed in just the
moment of a renewal, the renewal may be lost: then a note says until when the
token is good, mostly 3 days, and `bulkwriter login` before that mends it.  If
nothing runs for 7 days, sign in again, or let the run do it:

  username = "me@example.com"           # in your own bulkwriter.toml
  password-file = "password"            # the next run signs in again by itself

Without such a password the run ends with exit 4.  Sign in, and give the same
command again: it goes on where it ended.

A two-factor code is good for one sign-in.  A stored sign-in needs none for its
renewals, so it is the way for a user with two-factor sign-in, also from cron.

The way that is nearest counts

  1. --token-file PATH       the first line is the token.  The run reads the file
                             again when the server refuses the token, so you can
                             replace it while the run goes on.  - reads it from
                             standard input; typed at a terminal it is not shown
     --username NAME         with --password-file PATH and [--totp-file PATH], or
                             asked for at the terminal
  2. BULKWRITER_TOKEN, or BULKWRITER_USERNAME with BULKWRITER_PASSWORD
  3. token-file or username in a bulkwriter.toml (help config)
  4. the stored sign-in of `bulkwriter login`.  A user name that was given goes
     with it if it is the same user's: its password then serves for a new sign-in
  5. token-command in your own bulkwriter.toml: a command that prints a token, such
     as that of a keyring or a vault.  cron and systemd reach no desktop keyring

  bulkwriter config show        shows which way counts here, and never a secret

No option takes a secret as its value, because every user of the machine can read
command lines.  Make files with secrets readable for yourself only (chmod 600).

In a service (help api): Settings(base_url=..., stored_sign_in=True) uses it too, on
the machine and for the user that signed in.  With username and password beside
it, the first of your processes signs in, and all of them share that.

If the stored sign-in is not used

  can be read by others, belongs to another user, is a link, is damaged
        It is refused, and the message says what to do.  Mostly: remove the file
        and sign in again.
  another machine
        A copied home folder does not sign in: two machines with one sign-in would
        end it for each other.  Sign in on each machine.
  a folder with a bulkwriter.toml that names the server
        Its server gets no sign-in of yours: such a file may come from anybody.
        If you trust it, give --base-url yourself, or name it in your own file.

A token by hand (for a user with two-factor sign-in, add -d totp=CODE):

  curl https://spaces.nexudus.com/api/token \\
       -d grant_type=password --data-urlencode username=YOU@EXAMPLE.COM \\
       --data-urlencode password@password-file      # a file without a line end

The user needs these roles (a full administrator has them all)

  CourseCompletedLesson-Create   for run
  CourseCompletedLesson-List     for run, plan, verify and undo, which read lists
  CourseCompletedLesson-Delete   for undo and verify --repair

  Course-List, CourseLesson-List, CourseMember-List, Coworker-List and
  Coworker-Read                  for resolve
  CourseMember-Create            for resolve --enrol

A reply of 401 can mean a bad token or a missing role.  The message says which
request was refused.  `bulkwriter check --probe` tries the token and both of the
first two roles before the first write; the probe counts as one write.
"""
