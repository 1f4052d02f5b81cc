"""Help topics on the life of a long run: keeping it alive, hearing of it, and what to do when something happens.

Plain text of at most 82 columns, as all topics are (`manual`).  Each is short, and holds commands that can be pasted.
What happens at a signal is what `signals` and `lifecycle` do; the exit codes are those of `help exit-codes`.

Not here: what the ids are and how to sign in (`manual`).
"""

from __future__ import annotations

from typing import Final

LONG_RUNS: Final = """\
A run of days or weeks

You can stop a run at any time and in any way.  The same command, in the same
folder, goes on where it ended: the journal beside the source remembers each row,
and the ledger what was spent of the quotas.  So either keep the run alive, or
start it again and again.  Both work.

  what happens                       what to do
  you close its terminal (SIGHUP),   the run ends by itself within seconds, exit
  Ctrl-C, kill (SIGTERM)             129, 130 or 143: give the same command again
  kill -9, power cut, reboot         the same command again.  It first looks up
                                     what was on its way, for about a minute
  the network or the server is       nothing: the run waits and tries again, for an
  gone                               hour (--give-up-after).  Then it ends with
                                     exit 75: the same command, later
  the day's writes are spent         nothing: the run waits for the next ones.  With
                                     --on-quota stop it ends with exit 75
  the sign-in has expired            exit 4: bulkwriter login, then the same command

Which way

  tmux      for one run that you look at
  systemd   starts the run again after a crash or a reboot
  cron      starts it every hour, and it ends when the day's writes are spent

tmux keeps a terminal when you log out:

  tmux new -s backfill                  opens a terminal that stays.  Start the run
  bulkwriter run pairs.csv ...          in it; then Ctrl-B D leaves the terminal
  tmux attach -t backfill               comes back to it

systemd, for your own user:

  systemd-run --user --unit=backfill --same-dir -p Restart=on-failure \\
      -p RestartSec=10min -p RestartPreventExitStatus="1 2 4 5 6 74" \\
      "$(command -v bulkwriter)" run pairs.csv
  loginctl enable-linger                   keeps it alive after you log out
  journalctl --user -u backfill -f         shows its messages
  systemctl --user stop backfill           stops it cleanly (SIGTERM)

cron: exit 75 means "later" and is no failure.  A start ends with exit 5 while
another one still runs.  cron knows no PATH of yours, so name the program as
`command -v bulkwriter` shows it.  This is one line of the crontab:

  7 * * * * cd $HOME/backfill && $HOME/.local/bin/bulkwriter run pairs.csv \\
            --token-file token --on-quota stop --progress none \\
            --log-file run.log 2>/dev/null || [ $? -eq 75 ]

For a systemd timer use Type=oneshot, SuccessExitStatus=75, OnCalendar=hourly and
Persistent=true.

For a container see bulkwriter help containers.

Sign in once with bulkwriter login: runs renew that by themselves (help tokens).

How does it stand?

  bulkwriter runs                          all runs of this user, also those whose
                                           journal was moved nearby
  bulkwriter status pairs.csv.journal      one run, from any terminal; with --watch
                                           kept up to date until it has ended
  bulkwriter explain pairs.csv.journal --line 1234    what happened to one record
  bulkwriter report pairs.csv.journal      a page for a browser: how it went, what
                                           is left; --private to pass it on
  bulkwriter help logs                     log files, and a message at the end
"""

CONTAINERS: Final = """\
A run in a container

What must outlive the container is in two folders: that of source and journal, and
the state folder with the ledger (and a sign-in).  Here both are one volume, /data.

  # Dockerfile, in a clone of the repository
  FROM python:3.13-slim
  COPY . /src
  RUN pip install --no-cache-dir /src && rm -rf /src
  ENV XDG_STATE_HOME=/data/state
  WORKDIR /data
  ENTRYPOINT ["bulkwriter"]

  docker build -t bulkwriter .
  docker run -d --name backfill --init --read-only --stop-timeout 60 \\
      --user "$(id -u)" -v "$PWD:/data" bulkwriter \\
      run pairs.csv --token-file token --progress plain --log-file run.log

  docker logs -f backfill             shows what it says
  docker exec backfill bulkwriter status pairs.csv.journal
  docker stop backfill                ends it cleanly: what is on the wire may end
  docker start backfill               the same command again: it goes on

- The volume must be a disk of that machine, not a network file system.
- It runs as any user that may write to /data, and the rest may be read-only.
- It works as process 1 too.  --init helps in the first second, in which Linux
  keeps a SIGTERM from process 1.
- Name the entry point as a list, as above.  A shell in between would keep the
  SIGTERM of docker stop for itself.
- Run it once only.  A second container on the same journal ends with exit 5; with
  another ledger it spends the account's quotas a second time (--quota-share).
- In Kubernetes: a StatefulSet or a Job with one replica and a volume of its own,
  terminationGracePeriodSeconds: 60.
"""

LOGS: Final = """\
Logs, and a message at the end

A run says everything for people on stderr: on a terminal with progress that is
drawn over, else line by line.

  --log-file PATH      appends the same lines to a file, each with date, time and
                       zone.  Move the file away at any time (logrotate): the next
                       line begins a new one.  If the disk is full, the run goes
                       on, says so once, and later writes how many lines are
                       missing
  --log-format json    makes each line one JSON object, there and on stderr
  --progress none      leaves progress out
  -v                   shows every event: each throttle, each doubt

A log never has a token or a password.  E-mail addresses are left out of a log
file, but for those on the command line.

  --json               prints one JSON object on stdout at the end (help json)
  --report PATH        keeps that page fresh, about once a minute
  --metrics-file PATH  keeps metrics for node_exporter

--on-end COMMAND runs a command of yours when the run has ended.  The command
gets the object of --json on its stdin:

  bulkwriter run pairs.csv --on-end 'mail -s "backfill ended" you@example.com'
  bulkwriter run pairs.csv --on-end 'jq -r .ended_reason | ~/bin/tell-chat'

- It runs after every end: done, refused, stopped by a signal, out of quota, or
  settings that cannot be right.  It does not run after kill -9 or a power cut, nor
  for --dry-run, nor where the command line itself was not understood.
- `exit_code` and `ended_reason` in the object say how the run ended.
- The command is run by /bin/sh just as you wrote it.  File names and messages of
  the server stand in the object alone, so no shell reads them.
- It has 60 s.  After that it is stopped.  If it fails, the run says so, and ends
  with its own exit code.
- What it prints goes to stderr.  The token is not in its environment.
- It is taken from the command line, or from your own configuration file
  (on-end = "..."; bulkwriter config path names it).  A bulkwriter.toml of the
  working folder cannot set it, nor can the environment.
"""

ROLES: Final = """\
Which roles the user of the API needs

A full administrator has them all.  For any other user an administrator sets them
in Nexudus, with the user's other permissions.

  command            roles
  check, plan        CourseCompletedLesson-List
  run                CourseCompletedLesson-Create, CourseCompletedLesson-List
  verify             CourseCompletedLesson-List
  verify --repair,   CourseCompletedLesson-List, CourseCompletedLesson-Delete
  undo
  resolve            Course-List, CourseLesson-List, CourseMember-List,
                     Coworker-List, and best also Coworker-Read
  resolve --enrol    also CourseMember-Create
  undo of that       CourseMember-List, CourseMember-Read, CourseMember-Delete

Where one is missing

  -Create   the run ends with exit 4 at its first write
  -List     the run ends with exit 4 before its first write, because it cannot see
            which pairs exist.  --existing skip goes without, but then a pair in
            doubt cannot be looked up either, and the run ends with exit 3
  -Delete   undo ends with exit 4; nothing was deleted

To try it before the first write:

  bulkwriter check --probe       asks for one record, and sends one empty create.
                                 It writes nothing, and counts as one write

A user may also be limited to some locations.  Lists then show only their records,
and what they do not show counts as missing.  A reply of 401 can mean a missing
role as well as a bad token; the message says which request was refused.
"""

WHEN: Final = """\
When something happens: what it means, what to do

  The run was stopped, killed, rebooted or disconnected
      Nothing is lost.  Give the same command again.
  "in doubt"
      A request was sent and no reply came back.  After about a minute the run,
      or its next start, asks the server what became of it.  You need not do
      anything.
  exit 4, the token was refused (401)
      The token is older than 7 days (help tokens), or the user has not the right
      role (help roles).  Correct that; then the same command goes on.
  exit 4, the same rejection again and again
      A setting or the file is wrong for most rows.  The message quotes the
      server.  To see every row:
      bulkwriter export JOURNAL --state rejected --output x.csv
      When the cause is removed, add --retry rejected to the same command.
  exit 4, host name not found, or no TLS connection
      The --base-url is wrong, or the network needs a proxy or a certificate of
      its own (--proxy, --ca-file).
  exit 75
      Come back later.  The day's writes are spent, the server or the network is
      down, or the server asks for a long wait.  If the time is known, the
      message says it.
  exit 5, held by pid N
      Another process uses this journal: bulkwriter status JOURNAL shows it.
      Wait for it, or stop it with kill N.  Never delete the .lock file.
  exit 5, a writer at work has pairs of this source
      A run or service of yours sends the same pairs.  Give the same command
      again: it finds what that one has written.
  exit 5, the journal is damaged, or the disk is full or failing
      Make room on the disk.  For a damaged file, move it away and add
      --after-loss (help journal).
  exit 6, the source has changed
      Put the file back as it was.  If you want to write other rows, use another
      file name.  The run finds the pairs that exist and does not write them
      twice.
  exit 6, no column CourseLessonId
      The first line does not name the columns.  Add --header-line N, or
      --lesson-column and --member-column (help sources).
  exit 3
      Some pairs are still in doubt.  Give the same command again.  If a note
      says that the existing records cannot be listed, give the user the role
      -List first: without it the run cannot settle any doubt.
  exit 1
      The run is done, but the server refused some pairs, or some rows hold no
      valid pair.  bulkwriter export shows them.
  throttled
      The server says "too fast" and takes nothing (409, 429); the run slows down
      by itself.  If this happens often, another program shares the account:
      --quota-share 0.5 leaves it half.
  busy
      The server says 503.  It may have recorded the pair all the same, so the pair
      is in doubt and looked up.  The run slows down as when it is throttled, but
      this is not counted as throttled.
  The run is slow
      bulkwriter status JOURNAL says what holds it back.  Most often it is a
      quota (help quotas).
  Wrong pairs were written
      bulkwriter undo JOURNAL deletes the records that this run created, and
      nothing else.  It needs the role -Delete.
  Are all pairs really on the server?
      bulkwriter verify JOURNAL asks the server.  If a pair is there twice, add
      --repair.
  exit 70
      This is a bug of ours.  Start the run again with -v, and report what it
      prints.
"""

COMPLETION: Final = """\
Completion of commands, options and file names with Tab

  bash   echo 'eval "$(bulkwriter completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(bulkwriter completion zsh)"' >> ~/.zshrc
  fish   bulkwriter completion fish > ~/.config/fish/completions/bulkwriter.fish

Then open a new shell.  bash must be version 4.4 or later; macOS comes with an
older one.  In zsh the line must stand below compinit, which this adds where your
~/.zshrc has none:

  autoload -Uz compinit && compinit
"""
