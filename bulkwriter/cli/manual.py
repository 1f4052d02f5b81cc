"""Help topics written for whoever runs bulkwriter, not for whoever changes it: `bulkwriter help ids`, `help journal`, …

Each is plain text of at most 82 columns, so that it reads well on a terminal, in a mail and in a ticket.  What the
program itself can say better (the reply table, settings, exit codes) is printed from its own tables (`topics`); the
journal's format is described whole beside the code that writes it (`help journal-format`).  Facts about the API are
those of its documentation of November 2026; where that is silent, the text says so.

Not here: how a run is kept alive, watched and mended (`manual_operators`).
"""

from __future__ import annotations

from typing import Final

IDS: Final = """\
Where the two ids come from

  CourseLessonId   is the Id of a lesson.
  CourseMemberId   is the Id of an enrolment, that is, of one person in one
                   course.  It is NOT the person's own id, and not an e-mail
                   address.  The same person has a different CourseMemberId in
                   each course.

The lists of the API show both, and so do exports of those lists:

  GET /api/content/courses                                    Id, Title
  GET /api/content/courselessons?CourseLesson_Course=COURSE   Id, Title
  GET /api/content/coursemembers?CourseMember_Course=COURSE   Id, CoworkerId,
                                                       CoworkerFullName
  GET /api/spaces/coworkers?Coworker_Email=ADDRESS            Id of the person

From an e-mail address to the right id takes two steps.  First find the person
by the address and note the Id.  Then look through the enrolments of the course
for the one with that Id as its CoworkerId.  The Id of that enrolment is the
CourseMemberId.  bulkwriter resolve does this for a whole table: bulkwriter help
spreadsheets.

Two lessons may have the same title, and two people the same name or address.
Check which one you have.  The API documentation does not say whether the server
refuses a lesson and an enrolment of different courses.  Make sure that both
have the same CourseId.

From a spreadsheet

  1. Put one pair in each row, in two columns named CourseLessonId and
     CourseMemberId.  Other columns may stay; the run ignores them.
  2. Format both columns as text before you paste the ids.  A spreadsheet rounds
     a number of more than 15 digits, and an id shown as 1.23457E+15 is lost.
  3. Save the sheet as "CSV UTF-8 (Comma delimited)".  Semicolons and tabs also
     work.
  4. Run bulkwriter run pairs.csv --dry-run.  It names each bad row and the
     reason.  If a title stands above the column names, add --header-line N.

The record that the run creates has no date of its own.  It shows when it was
written, not when the lesson was taken.
"""

SPREADSHEETS: Final = """\
From a spreadsheet with e-mails to a run

Your table says who did which lesson: an e-mail, the title of a course, the title
of a lesson.  resolve looks the ids up and keeps all your own columns:

  bulkwriter resolve people.xlsx --token-file token

  people.resolved.csv     the rows with both ids: a SOURCE for plan and run
  people.unresolved.csv   the other rows, each with its reason

Columns      Email, Course and Lesson.  Upper and lower case, spaces, _ and - make
             no difference, and common other names work (E-mail, Course title).
             For other names use --email-column NAME, --course-title-column NAME
             and --lesson-title-column NAME.  If a course has two lessons with the
             same title, add a column Section.  Where you know an id, add it in a
             column CourseId, CourseLessonId, CoworkerId or CourseMemberId: ids
             win over titles and e-mails.
E-mails      Case and blanks at the ends do not count.  If several profiles have
             the same e-mail, the one that is enrolled in the course is taken.  If
             two of them are enrolled, the row is ambiguous.
Names        With --by-name a row without an e-mail is looked up by the full name
             (column FullName or Name), among those enrolled in the course.
Titles       The whole title must be the same, but for case.

Reasons in people.unresolved.csv

  not enrolled                  the person is known, but is not in the course:
                                --enrol creates these enrolments, and asks first
  person not found              nobody has this e-mail
  person ambiguous              Candidates shows who it may be
  course, lesson not found      no such title; see how it is written in Nexudus
  course, lesson ambiguous      several have this title: add the id, or a Section
  lesson of another course      the course of the row does not have this lesson
  lesson inactive               you can take these all the same, with
  enrolment blocked             --accept inactive,blocked,not-approved
  enrolment not approved

Missing enrolments

  bulkwriter resolve people.csv --enrol

shows which enrolments the rows lack and what it will send, and asks.  Then it
creates them and resolves the rows again.  Each makes a person a member of a
course.  Whether Nexudus tells the person by e-mail is not known: try one first.
It sends "Approved": true, since private and paid courses show nothing without;
--leave-approval leaves that to the server.  If it is killed, the same command
goes on, and nothing is doubled: people.enrolments.csv.journal remembers each.
status, verify, export and undo take that journal; undo deletes what was made.
The user needs the role CourseMember-Create too.

"Not found" can also mean that your sign-in may not see it: users can be limited
to some locations.  Correct the rows in the file and resolve that file again.  It
has the columns that resolve needs.

resolve ends with exit 1 if some rows have no ids, else with 0.

Without --enrol it only reads lists.  It waits for the same quotas as a run, and
says first how many calls it needs and how long they take.  What lists have shown
is kept for a day in ~/.cache/bulkwriter, so that the same command goes on after a
kill and asks nothing twice.  After you changed something in Nexudus, add
--refresh.  Of people it keeps the id, the e-mail, the full name and whether they
are active.

The user needs the roles Course-List, CourseLesson-List, CourseMember-List and
Coworker-List, and best also Coworker-Read.
"""

SOURCES: Final = """\
What SOURCE may be

  .csv .tsv .jsonl .ndjson    a file; each also with .gz at the end
  .xlsx .xlsm                 a workbook of Excel
  .sqlite .sqlite3 .db        a database of SQLite
  .ods .xls .xlsb             other workbooks; need the extra excel
  .parquet .duckdb .ddb       data files of DuckDB; need the extra duckdb
  -                           standard input; it needs --journal PATH.  To
                              resume, pipe the same input again.  The last
                              line of a CSV needs a line end: without it the
                              row may be cut, and is not sent (exit 6)

CSV          The text is UTF-8.  Other columns may have another encoding, as long
             as it contains ASCII.  Columns are separated by commas, semicolons,
             tabs or |, whatever the suffix of the file is.  The first line that
             is not blank names the columns.  If other lines stand above it, add
             --header-line N.  The two columns are CourseLessonId and
             CourseMemberId, in any order.  Upper and lower case, spaces, _ and -
             make no difference: "course lesson id" works.  For other names use
             --lesson-column NAME and --member-column NAME.
JSON Lines   Each line is one object, with the same two names as keys.
Workbooks    The first sheet that is not hidden is read.  --sheet takes another,
             by its name or by its number from the left.  The first row that is
             not empty names the columns (or --header-line N), and the line
             numbers in messages are the sheet's own.  If rows are hidden or
             filtered out, the run does not start: --hidden-rows include takes
             them too, --hidden-rows skip leaves them out.  Excel keeps 15 digits
             of a number, so a longer id must be in a cell formatted as text.
             The first 1,000 columns are read.
Other        In .xls and .xlsb hidden rows cannot be told apart, so they are taken
workbooks    too.  The program says so.  Save the file as .xlsx if that matters.
Databases    The only table is read, or what --query 'SELECT ...' gives.  In a
             Parquet file the table is called source.  A resumed run compares
             rows by their place, so end a query with ORDER BY.  Line 1 is the
             first row.  The file is only read, never written.
Ids          An id is a whole number from 1 to 2^63-1, written in digits.  42.0,
             1,234 and 1.2E+15 are not accepted.

A bad row holds no valid pair.  The run counts it, keeps its line number and the
reason, and goes on.  With --strict it stops at the first bad row.  This command
lists the bad rows, so that you can correct them:

  bulkwriter export pairs.csv.journal --state invalid --output bad.csv

The file has all columns of your source, if the source is still as it was.  Mend
the rows there, and give the file to a new run.

If a file has the same pair twice, the run writes it once.  The second row
counts as a duplicate.

Between two starts you may add rows at the end of the file.  Any other change
ends the next start with exit 6, and the message names the line.  Put the file
back as it was; then the run can go on.  A file that changes while the run reads
it also ends the start with exit 6, and no row that was read after the change is
sent.  So wait until a copy or an export is complete before you start the run.
"""

JOURNAL: Final = """\
The journal: how a run resumes

The journal is a file beside the source: SOURCE.journal, or the file that you
name with --journal PATH.  It has every row and what became of it, and it never
has a token.  When you start the same command again, the run compares the source
with the journal and skips the rows that are done.  It asks the server about the
pairs in doubt, and it sends the rest.

- Keep the journal until the backfill is over, and keep it on a local disk.
  On a network file system (NFS, SMB, sshfs; in WSL the drives of Windows) a
  start ends with exit 5.  The files .journal, .journal-wal and .journal.lock
  belong together.  A .journal.seal spares the next start the
  check of a large journal; nothing is lost without it.
- Only one process can use a journal.  A second one ends with exit 5 and names
  the first.
- A journal belongs to one server, one account and one source.  With another one
  the start ends with exit 5 or 6.
- Before the run sends a request, everything that the request depends on is on
  the disk.  After a kill or a power cut, the next start looks up what was open.

If the journal is lost or damaged (exit 5), add --after-loss to the same command.
Move a damaged file away first.  The run then makes a new journal.  It waits
until the server must have applied every request that was on its way, looks up
what exists, and sends only the missing pairs.  Without --after-loss a run whose
journal has disappeared ends with exit 5 if its last start was cut off.  Otherwise
it says that there was a journal, and begins once lists show what that wrote.

To read a journal:

  bulkwriter status JOURNAL              how the run stands, also while it runs
  bulkwriter export JOURNAL --state S    the rows with one outcome, as a CSV
  sqlite3 -readonly JOURNAL 'SELECT * FROM outcome LIMIT 9'

Its format: bulkwriter help journal-format
"""

QUOTAS: Final = """\
Quotas: how many requests may be sent in which time

The documented limits of the API apply by default, except for a server on this
machine.  They are called the profile nexudus:

  writes         60 a minute, 2,500 a day
  all requests   10 a second, 120 a minute, 5,000 an hour, 200,000 a day

So 100,000 pairs take 40 days.  Another official page says 5,000 writes a day.
Ask Nexudus which limit your account has.

  --quota write:5000/day --quota write:60/min    replaces the profile.  To keep
                                        the profile and add to it, also give
                                        --quota nexudus
  --quota write:2500/day@00:00+00:00    counts by calendar day, from midnight
                                        UTC.  Without @ it is any 24 hours
  --quota any:1/100ms                   limits write, read or any requests, in ms,
                                        s, min, hour or day
  --quota none                          sets no quota at all
  --quota-share 0.8                     leaves a fifth of each quota for other
                                        programs
  --rate 30/min                         never sends faster than this, whatever
                                        the quotas allow

When a long quota is spent, the run waits until it has room again, and shows
when that will be.  With --on-quota stop it ends with exit 75 instead, and says
when to come back.  bulkwriter plan shows how long the whole job takes and which
quota limits it.

The ledger counts what was spent.  It is a file for all runs of this user on this
machine: ~/.local/state/bulkwriter/ledger, or the file named with --ledger PATH.
It counts by base URL, or by --account NAME.  A restart or a second run never
spends more than the quota.  If you delete the ledger, its counts are lost, and
then only the server's own throttles limit the run.  Several machines share a
ledger in PostgreSQL (bulkwriter help machines).  Where each has a file, give
each machine a part of the quota with --quota-share.

The ledger must lie on a disk of this machine.  On a network file system (NFS,
SMB, sshfs and the like) a start ends with exit 5, because machines may not see
there what others have written: name another file with --ledger.

If the server throttles before a quota is spent, the run slows down by itself.
It obeys Retry-After, and it remembers how much the server accepted in a day.

What happens to the counts

  the run is killed, or the     what it had taken from the ledger counts as spent:
  power fails                   at most 1% of a long quota, or one request, and
                                what two seconds can spend of a short one.  If a
                                request was on its way, its slot counts as taken
                                until it is surely over: --timeout and half a
                                minute.  any:1/100ms has one slot, so nothing is
                                sent for so long.  The reason is told below
  the machine starts again,     the counts stay.  What was spent before is placed
  or the ledger is moved to     by the server's Date header.  Without Date it
  another machine               counts as spent just now, which can cost a day
  somebody sets the clock of    nothing: that clock decides nothing
  the machine
  the server's Date is wrong    a calendar day begins when the server's Date says
                                so.  If its machines disagree, it begins when it
                                has begun for all of them
  the server sends no Date      a calendar day counts as any 24 hours

More: bulkwriter help quota-counting
"""

VERIFY_AND_UNDO: Final = """\
After a run: verify, repair, undo

  bulkwriter verify pairs.csv.journal
      Shows missing pairs, doubled pairs with their ids, and strangers.  A
      stranger is a record of the run's lessons for a pair that the run does not
      have.  verify only reads, so it also works while the run goes on.
  bulkwriter verify --source pairs.csv
      Does the same without a journal: is each pair of the file there once?
  bulkwriter verify pairs.csv.journal --repair
      Deletes the extra record of a doubled pair, if this run created it and
      another record of the pair stays.
  bulkwriter undo pairs.csv.journal --dry-run
      Shows how many records undo would delete, and how long that takes.
  bulkwriter undo pairs.csv.journal
      Deletes the records that this run created, and none that existed before.

If pairs are doubled that nobody else wrote, a proxy on the way may send a POST
again by itself (nginx: proxy_next_upstream with non_idempotent; HAProxy:
retry-on).  No client can see that: turn it off there, then --repair.

verify lists the lessons of the run or the whole table, whichever takes fewer
calls.  It looks again before it reports a pair as missing.  --output FILE.csv
writes what it found to a file that is a SOURCE again.  It ends with 0 only if
every row of the run was checked: rows that are not written or not read yet, as
after run --limit, make it 1.

undo first settles the doubts.  It reads each record just before it deletes it,
and leaves the record alone if it holds another pair.  If you stop it, the same
command goes on where it ended.  Afterwards run can create the pairs again.

Both commands ask before they delete anything.  Where nobody can answer they
need --yes.  They also need the role CourseCompletedLesson-Delete, or for the
journal of enrolments (help spreadsheets) CourseMember-Read and -Delete.
"""
