"""Help topics to look things up in: the words, the object of `--json`, how quotas are counted.

`manual` has the topics that say what to do.  Here as there each topic is plain text of at most 82 columns, made for a
terminal, a mail or a ticket; `topics` has the whole list, and prints it.

Not here: what the program can print from its own tables (`topics`).
"""

from __future__ import annotations

from typing import Final

WORDS: Final = """\
Words, each with one meaning

  pair       one input record: a lesson and an enrolment
  attempt    one request that was sent for a pair
  in doubt   a request was sent, and nobody knows whether the server applied it
  look       a list call that finds out what became of pairs in doubt
  journal    the file that has every row of the source and what became of it
  ledger     the file that counts what was spent of the quotas
  throttle   a reply of the server that says "too fast"
  drain      the end of a run in good order: it sends nothing new, and it waits
             for the requests in flight
  start      one process that works on a run
  run        the work on one source, over as many starts as it takes
  lane       one connection, with at most one request on it

How a row ends.  In a summary, `pairs` is always the sum of these

  created    this run made the record
  existing   the record was there before
  rejected   the server refused the pair; its reason is kept
  failed     every attempt failed, and the server applied none of them.  The next
             start tries again
  in_doubt   nobody knows yet; the next start asks the server
  pending    the pair was not sent yet
  invalid    the row holds no valid pair
  duplicate  an earlier row has the same pair
"""

JSON: Final = """\
Output for scripts: --json

The last line of standard output is one object, however the command ends.  All
messages for people go to standard error.

run --json

  pairs created existing rejected failed in_doubt pending invalid duplicates
                     rows of the whole run, over all its starts; pairs is the
                     sum of the others (help words)
  reasons            the most frequent reasons for rejected, invalid and failed
                     rows, each with its count and an example
  rows_total         number of rows of the source; rows_total_exact is true if
                     they were counted, and false if the number is an estimate
  not_read           rows of the source that no start has read yet
  ended_reason ended_code
                     why this start ended, in words and in one word for programs
  resume_at          when to start again, in UTC
  attempts throttled elapsed_s
                     of this start
  pairs_per_s        records that this start created in a second
  journal            path of the journal
  exit_code          see help exit-codes

status --json has all of these from pairs to resume_at.  About the last start it
has ended_exit_code and ended_at.  It also has writer (the process at work),
rate_per_s, end (when all pairs will be written), others (the writes that other
processes of the account make for each of this run's, as far as the ledger
shows; the end counts on them) and quotas.  After an undo, undone_at and
undone_deleted say when it was and how many records it deleted.

plan --json has all of these from pairs to resume_at.  It also has writes (how
many are needed), checked (whether the server was asked what exists), seconds and
finish, and quota (the one that limits the job).

verify --json   missing doubled strangers checked repaired in_doubt pending failed
                not_read, and examples.  is_complete is true if all was listed and
                every row of the run, or of --source, was checked.  It is false
                while rows are in doubt, pending, failed or not read, and where
                verify failed: then the counts are 0.
undo --json     deleted gone mismatched older left in_doubt

report --json has all of status --json, and history: attempts, throttled, held_s
(seconds by cause), steps and causes (of attempts in doubt), days and starts.
Where history.is_whole is false, a start noted no end (yet): then attempts and
throttled are at least so many.

explain --json has rows, each with ids, line, state, attempts, record_id, errors,
read_after and read_before, and steps: at, step, status, took_s, wait_s, text.

A value that is not known is null.
"""

QUOTA_COUNTING: Final = """\
How quotas are counted

Windows
  A quota is a number of requests in a window of time: write:60/min,
  read:5000/hour or any:1/100ms.  A write is a POST, PUT or DELETE, a read is a
  GET, and any counts both.  The window may have a number: 10s, 2h, 7day.  It
  slides: 2500/day means 2,500 in any 24 hours.  With a time of day and a zone it
  is the calendar day that begins then: write:2500/day@00:00+00:00.

  A quota that you give replaces the default.  If you also name nexudus, your
  quota replaces the window of the same kind and length in that profile, or is
  added to it.  --quota-share cuts each count; if less than one request would be
  left, the window becomes longer instead.

  Requests in a window of up to a minute are spread evenly over it.  In a longer
  window they are sent at full speed, and counted by the minute, so a window that
  slides may have room up to a minute late.  That matters for windows of 1 to 3
  minutes, which lose a good part of their requests: if you can, give such a quota
  as a window of a minute or less.  The run takes each window as a little longer
  than it is, because the server's clock may run faster or slower than ours.

  What was sent in the last seconds before a calendar day begins counts in both
  days, since a Date tells whole seconds: about five seconds with one clock.

The ledger
  The ledger is an SQLite file.  All processes of one user on one machine share
  it.  A process takes a lease from it: as many requests as it may send in the
  next two seconds.  The lease is on the disk before the first of them is sent, so
  a crash never spends more than the quota.  What is not used within a second of
  its time goes back to the ledger.  At a slow pace, as of 60/min, that is one
  request at a time, taken a tenth of a second before and given back at once.

  A process that is killed gives nothing back.  Its last lease counts as used,
  until the longest request of that process and the window are over.  A lease is
  at most 1% of each quota of more than a minute, and at least one request.

  Why so long: the server counts a request when it arrives, and only the reply
  proves that it has.  A request that was on its way when its process died may
  still lie in a proxy or in the network.  Nobody can know when it arrives, only
  that after its deadline (--timeout, and half a minute to connect) it counts as
  over.  Sending sooner could put two requests into one window.  At a slow pace, a
  process that died between two requests held nothing: the next one sends at once.

  Anyone may read the file:

    sqlite3 -readonly ~/.local/state/bulkwriter/ledger 'SELECT * FROM spent'

  A request counts in the minute in which its reply came, since that is the latest
  time at which the server can have counted it.

  A damaged ledger ends a start with exit 5.  An empty file where a used ledger
  should be is refused as well, since counting would begin at zero.  So is a
  ledger on a network file system.

Clocks
  Times are counted by the clock that begins when the machine starts.  Nobody can
  set it, and it goes on while the machine sleeps.  The time of day on this
  machine decides nothing.

  The Date header of the server's replies is asked for two things only: when a
  calendar day begins, and how old is what was spent before the machine started,
  or on another machine.  A single Date tells whole seconds and may be late.  So
  the last 20 replies count, and a day begins when it has begun by each of them.
  Replies that a cache had kept (an Age header) do not count, nor do Dates before
  2020 or after 2099.

  While the server's time is unknown, nothing becomes free because of it.  A
  calendar day then counts as any 24 hours.  What was spent before the machine
  started, or on another machine, counts from when it is first seen.

  What the run cannot know:

  - A calendar day that begins by another clock than the one in the Date headers.
    If the server throttles when a day begins, leave out the @ time: any 24 hours
    never exceed a day, wherever it begins.
  - A Date that was wrong when something was spent, and is right after the machine
    has started again.  What was spent then looks older by the difference.
  - A virtual machine that was paused, copied while it runs, or restored from a
    snapshot with its memory.  Its clock does not show the pause, and its ledger
    does not show what was sent since.
  - What other programs send for the same account, or the same program with
    another ledger.  Use --quota-share.

What throttles teach
  A limit of up to a minute has room again within a minute.  So the run waits
  longer and longer while it is throttled, at last for more than a minute.  If the
  next request is throttled too, or if the server asks for a wait of minutes, then
  a longer limit of the server is spent, though our own quota still has room.

  The run then takes the number of requests that the server accepted in the last
  day as the limit for any day.  This may be wrong, for instance because another
  program used the account.  So the run tries one request after 30 minutes, then
  after 1, 2 and 4 hours, then every 6 hours.  If the server accepts it, and so
  has taken more than that in a day, the limit is forgotten, until throttles show
  one again.

  Example: the server throttles 6 times in a row at 10:00, after 2,500 writes.
  The limit is now 2,500 a day.  The run tries at 10:30, 11:30, 13:30, 17:30,
  23:30 and 05:30: 12 throttles on the first day, 4 on each later day.
"""
