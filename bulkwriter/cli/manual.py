"""Help topics written for whoever runs bulkwriter, not for whoever changes it: `bulkwriter help ids`, `help trouble`, …

Each is plain text of at most 82 columns, so that it reads well on a terminal, in a mail and in a ticket.  What the
program itself can say better (the reply table, settings, exit codes) is printed from its own tables (`topics`); formats
are described whole beside the code that reads them (`help journal-format`).  Facts about the API are those of its
documentation of November 2026; what that leaves open is said to be open.
"""

from __future__ import annotations

from typing import Final

IDS: Final = """\
Where the two ids come from

  CourseLessonId   the Id of a lesson
  CourseMemberId   the Id of an enrolment: of one person in one course.  It is
                   NOT the person's own id, nor an e-mail.  The same person has
                   another CourseMemberId in each course.

Both are shown in the lists of the API, and in exports of those lists:

  GET /api/content/courses                                    Id, Title
  GET /api/content/courselessons?CourseLesson_Course=COURSE   Id, Title
  GET /api/content/coursemembers?CourseMember_Course=COURSE   Id, CoworkerId,
                                                       CoworkerFullName
  GET /api/spaces/coworkers?Coworker_Email=ADDRESS            Id of the person

So from an e-mail to the right id: the person's Id by the e-mail, then of the
course's enrolments the one whose CoworkerId that is; its Id is the one to use.
Titles, names and e-mails need not be unique: look where there are two. Whether
the server refuses a lesson and an enrolment of different courses is not
documented: take care that both have the same CourseId.

From a spreadsheet

  1. Have one row a pair, with the two columns CourseLessonId and
     CourseMemberId; other columns may stay, they are passed over.
  2. Format both columns as text before the ids are pasted.  As numbers, ids of
     more than 15 digits are rounded, and 1.23457E+15 has lost the id for good.
  3. Save as "CSV UTF-8 (Comma delimited)".  Semicolons and tabs will do too.
  4. Look: bulkwriter run pairs.csv --dry-run says which rows are no pair, and
     why.  A title above the line of names: add --header-line N.

There is no date in such a record: it says when it was written, not when the
lesson was taken.
"""

SIGN_IN: Final = """\
Signing in

A token of the API, from one request (with two-factor, add &totp=CODE):

  curl https://spaces.nexudus.com/api/token \\
       -d grant_type=password --data-urlencode username=YOU@EXAMPLE.COM \\
       --data-urlencode password@password-file      # a file without a line end

Its access_token lives for 7 days (expires_in: 604799 seconds).  Then

  export BULKWRITER_TOKEN=...          or
  --token-file PATH                    its first line; read again when the
                                       server refuses it, so that you can
                                       replace it while the run goes on
  --token-file -                       the first line of standard input; typed
                                       at a terminal it is not shown

or a sign-in by itself, which lasts longer than a token does:

  --username NAME --password-file PATH [--totp-file PATH]
  --username NAME                      on a terminal the password is asked for
  BULKWRITER_USERNAME, BULKWRITER_PASSWORD

The run then renews its token before it ends and when it is refused. A
two-factor code is good for one sign-in: each start needs a new one (it is
asked for, or read from --totp-file), so from cron use a user without, or
--token-file.

No option takes a secret's value, since every user of the machine can read
command lines; keep files of secrets to yourself (chmod 600).

Roles of the user (a full administrator has all of them)

  CourseCompletedLesson-Create   run
  CourseCompletedLesson-List     run, plan, verify, undo: to see what is there
  CourseCompletedLesson-Delete   undo, verify --repair

A 401 can mean a bad token or a missing role; the message says what was tried.
"""

SOURCES: Final = """\
What SOURCE may be

  .csv .tsv .jsonl .ndjson    each also with .gz behind it
  -                           standard input, with --journal PATH; the same
                              input piped again resumes

CSV   UTF-8; in other columns any encoding will do that has ASCII in it, since
      ids are ASCII. Commas, semicolons, tabs or | part the columns, whatever
      the suffix. The first line that is not blank names the columns;
      --header-line N where others stand above it. CourseLessonId and
      CourseMemberId in any order and case; spaces, _ and - in names do not
      count (Course Lesson Id will do). Other names: --lesson-column NAME,
      --member-column NAME.
JSON Lines   one object a line, with the same names as keys.
Ids   whole numbers from 1 to 2^63-1, as digits: no 42.0, no 1,234, no 1.2E+15.

A row that is no pair is counted, kept with its line and its reason, and stops
nothing; --strict stops at the first.  To see and mend them:

  bulkwriter export pairs.csv.journal --state invalid --output bad.csv

The same pair twice in a file is written once; the second row is a duplicate.

Between two starts rows may be added at the end of the file. Any other change
is exit 6 and names the line: put the file back as it was, then the run goes
on. A file that changes while it is read ends the start with exit 6 too, and no
row that was read since is sent. Wait until a copy or an export is complete
before the run begins. Workbooks (.xlsx) are not read: save them as CSV (help
ids).
"""

JOURNAL: Final = """\
The journal: what makes a run resume

SOURCE.journal (or --journal PATH) holds every row and what became of it. The
same command again compares the rows done with the source and passes them over,
asks the server about those in doubt, and sends the rest. It never holds a
token.

- Keep it until the backfill is over, on a local disk: SQLite does not work
  safely on network file systems. Journal, journal-wal and journal.lock belong
  together.
- One process at a time; a second one ends with 5 and names the first.
- It answers for one server, account and source: another one is exit 5 or 6.
- Everything in it is on the disk before a request that depends on it is sent:
  what a kill or a power cut leaves open is looked up afterwards.

Lost, or damaged (exit 5): the same command with --after-loss makes a new one.
It waits until requests that were on their way are surely applied, then looks
up what is there, and sends only what is not. Move a damaged one away first.
Where a journal is just gone nothing can tell: without --after-loss the command
begins a new run at once, and what was on its way may come twice.

To read it:

  bulkwriter status JOURNAL              how the run stands, also while it runs
  bulkwriter export JOURNAL --state S    rows by state, as a CSV
  sqlite3 -readonly JOURNAL 'SELECT * FROM outcome LIMIT 9'

Its format: bulkwriter help journal-format
"""

QUOTAS: Final = """\
Quotas: how much may be sent in which time

For every server but one on this machine the documented limits hold by default
(the profile nexudus): 60 writes a minute, 2,500 a day; of all requests 10 a
second, 120 a minute, 5,000 an hour, 200,000 a day. So 100,000 pairs take 40
days. Another official page says 5,000 writes a day: ask which one your account
has.

  --quota write:5000/day --quota write:60/min    instead of the profile; name
                                                 nexudus as well to keep it and
                                                 add
  --quota write:2500/day@00:00+00:00    a calendar day from midnight UTC,
                                        instead of any 24 hours
  --quota any:1/100ms                   write, read or any; ms, s, min, hour,
                                        day
  --quota none                          no quota at all
  --quota-share 0.8                     leave a fifth of each for others
  --rate 30/min                         never faster, whatever the quotas allow

When a long one is spent the run waits for its end and shows until when;
--on-quota stop ends with 75 instead and says when to come back. bulkwriter
plan says how long all of it takes and which limit binds.

What was spent is counted on this machine, for all runs of this user with the
same base URL (or --account NAME), in ~/.local/state/bulkwriter/ledger
(--ledger PATH). A restart or a second run never overspends. Deleting that file
forgets it all: then the server's own throttles are all that is left. Another
machine counts for itself: give each its part with --quota-share.

Where the server refuses earlier than the quotas say, the run goes slower by
itself, obeys Retry-After, and remembers how much the server took in a day.

The machine's clock may be set while a run goes on. Only a clock that was wrong
across a reboot can make a run wait longer than it had to, or start a window
early: keep the time synchronised (NTP). How it is counted: bulkwriter help
quota-counting
"""

LONG_RUNS: Final = """\
A run of days or weeks

It may be stopped and started at any time: Ctrl-C once, or a kill, or a reboot.
The same command goes on. So keep it alive, or start it again and again; both
work.

On a server you log out from:

  tmux new -s backfill                  a screen that stays; in it the run:
  bulkwriter run pairs.csv ...          Ctrl-B D leaves it alone, and
  tmux attach -t backfill               comes back to it

  systemd-run --user --unit=backfill --same-dir -p Restart=on-failure \\
      -p RestartSec=10min -p RestartPreventExitStatus="1 2 4 5 6 74" \\
      "$(command -v bulkwriter)" run pairs.csv --token-file token
  loginctl enable-linger                   so that it outlives your log-out
  journalctl --user -u backfill -f         what it says
  systemctl --user stop backfill           a clean stop (SIGTERM)

From cron, as far as the day's writes go; 75 means "later" and is no failure,
and a start while another one runs ends with 5:

  7 * * * * cd $HOME/backfill && bulkwriter run pairs.csv --token-file token \\
            --on-quota stop 2>>run.log || [ $? -eq 75 ]

(one line in the crontab).  With a systemd timer: Type=oneshot,
SuccessExitStatus=75, OnCalendar=hourly, Persistent=true.

In a container: a volume for the folder of source and journal, another for
~/.local/state/bulkwriter, stop with SIGTERM and 30 s of patience, one replica.

A token lives for 7 days: replace the file behind --token-file while it runs,
or sign in with --username and --password-file (help token).

How it stands: bulkwriter status pairs.csv.journal, from anywhere, at any time.
"""

TROUBLE: Final = """\
When something happens: what it means, what to do

  Stopped, killed, rebooted, disconnected
      Nothing is lost.  Give the same command again.
  "in doubt"
      A request went out and no reply came back. The run, or its next start,
      asks the server after about a minute and knows then. Nothing to do but to
      let it.
  exit 4, the token was refused (401)
      The token is older than 7 days, or a role is missing (help token). Put
      that right, then the same command goes on.
  exit 4, the same rejection again and again
      A setting or the file is wrong for most rows: the message quotes the
      server. Row by row:
      bulkwriter export JOURNAL --state rejected --output x.csv
      Once it is mended on the server, the same command with --retry rejected.
  exit 4, host name not found; no TLS connection
      --base-url is wrong, or a proxy stands between (--proxy, --ca-file).
  exit 75
      Later: the day's writes are spent, the server or the network is gone, or
      it asks for a long wait. The message says until when, where that is
      known.
  exit 5, held by pid N
      Another process runs this journal: bulkwriter status JOURNAL. Wait, or
      stop it with kill N; never delete the .lock file.
  exit 5, damaged, or the disk is full or failing
      Make room, or move the damaged file away and use --after-loss (help
      journal).
  exit 6, the source has changed
      Put the file back as it was. For other rows use another file name: what
      is there already is found and not written twice.
  exit 6, no column CourseLessonId
      The first line does not name the columns: --header-line N, or
      --lesson-column and --member-column (help sources).
  exit 3
      Some pairs are still in doubt: the same command again. If a note says that
      what exists cannot be listed, give the user the role -List first: without
      it no doubt is ever settled.
  exit 1
      Done, but some rows were refused or are no pair: bulkwriter export shows
      which.
  throttled
      The server says "too fast". The run slows down by itself. Often?  Another
      client shares the account: --quota-share 0.5.
  It is slow
      bulkwriter status JOURNAL says what holds it back: mostly a quota (help
      quotas).
  Wrong pairs were written
      bulkwriter undo JOURNAL deletes what this run created, and nothing else.
      It needs the role -Delete.
  Are all of them really there?
      bulkwriter verify JOURNAL asks the server.  Doubled ones: --repair.
  exit 70
      A bug of ours.  Start it again with -v and report what it says.
"""

COMPLETION: Final = """\
Completion of commands, options and file names in your shell

  bash   echo 'eval "$(_BULKWRITER_COMPLETE=bash_source bulkwriter)"' >> ~/.bashrc
  zsh    echo 'eval "$(_BULKWRITER_COMPLETE=zsh_source bulkwriter)"' >> ~/.zshrc
  fish   echo '_BULKWRITER_COMPLETE=fish_source bulkwriter | source' \\
             > ~/.config/fish/completions/bulkwriter.fish

Then open a new shell.  bash must be 4.4 or later (macOS has an older one).
"""

WORDS: Final = """\
Words, each with one meaning

  pair       one input record: a lesson and an enrolment
  attempt    one request on the wire
  in doubt   a request went out and nobody knows whether it was applied
  look       a list call that settles doubts
  journal    the file that remembers every row of the source
  ledger     the file that counts what was spent of the quotas
  throttle   the server says "too fast"
  drain      nothing new is sent, and what is in flight may end
  start      one process that works on a run
  run        one source brought to its end, over as many starts as it takes
  lane       one connection with at most one request on it

How a row ends; `pairs` in a summary is always the sum of these

  created    this run made the record
  existing   the record was there before
  rejected   the server refuses the pair; its words are kept
  failed     all attempts are used up, and surely none was applied; the next
             start tries again
  in_doubt   see above; the next start asks the server
  pending    not sent yet
  invalid    the row is no pair
  duplicate  the same pair stands in an earlier row
"""

JSON: Final = """\
Output for scripts: --json

The last line of standard output is one object, however the command ends.
Everything for people goes to standard error.

run --json

  pairs created existing rejected failed in_doubt pending invalid duplicates
                     rows of the whole run, over all its starts; pairs is the
                     sum of the others (help words)
  reasons            of rejected, invalid and failed rows the most frequent
                     reasons, each with count and example
  rows_total         rows of the source; rows_total_exact is true where they
                     were counted, false where its size says how many
  not_read           rows of the source that were not read yet
  ended_reason       why this start ended
  resume_at          when to start again, in UTC
  attempts throttled elapsed_s
                     of this start
  pairs_per_s        of this start: records created a second
  journal            path of the journal
  exit_code          see help exit-codes

status --json has the first six of these, and of the last start ended_code,
ended_exit_code and ended_at; writer (the process at work), rate_per_s, end (when
all is written) and quotas.

plan --json has the first six too; writes (how many are needed), checked (whether
the server was asked what exists), seconds and finish, and quota (the one that
binds).

verify --json   missing doubled strangers checked repaired, and examples
undo --json     deleted gone mismatched older left in_doubt

What is not known is null.
"""

VERIFY_AND_UNDO: Final = """\
After a run: verify, repair, undo

  bulkwriter verify pairs.csv.journal
      Missing pairs, doubled pairs with their ids, and strangers: records of
      the run's lessons and members that the run does not know.  It reads only,
      also while the run is at work.
  bulkwriter verify --source pairs.csv
      The same without a journal: is each pair of the file there once?
  bulkwriter verify pairs.csv.journal --repair
      Deletes what this run created of a doubled pair, if another one stays.
  bulkwriter undo pairs.csv.journal --dry-run
      How many records undo would delete, and how long that takes.
  bulkwriter undo pairs.csv.journal
      Deletes the records that this run created, and none that existed before.

verify lists the run's lessons or the whole table, whichever takes fewer calls,
and looks again before it says that a pair is missing. --output FILE.csv lists
what it found, as a SOURCE again.

undo settles the doubts first. It reads each record just before it deletes it,
and leaves it alone if it holds another pair. Stopped half-way, it goes on where
it ended. Afterwards run creates the pairs again.

Both ask before they delete, and need --yes where nobody can be asked. They need
the role CourseCompletedLesson-Delete.
"""
