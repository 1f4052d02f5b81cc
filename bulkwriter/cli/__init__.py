"""The command line: one small file a command, a thin user of the library.

    main            the group, its lazy table of commands, and how an exception becomes an exit code
    resource_limits whether the system leaves enough files and threads, asked before a run
    options         options that commands share, made from `Settings`' own metadata
    config_files    settings that stand in files, and what the file of a working folder may not do
    choose          options and environment -> Settings; `secret`: what must not be said
    login, logout   a sign-in for all runs of this user; `token_command`: the user's own way to a token

    lifecycle       one way for `run`, `plan`, `verify`, `undo`: settings, signals, an end that always reports
    run             the options of a run; `drive`: the run itself, its progress and its drain
    metrics_kept    the file of `--metrics-file`, kept up to date
    ledger          makes the tables in PostgreSQL that machines share; `manual_machines`: the help topic on them
    neighbours      other runs over the same pairs, by the registry beside the ledger
    dry_run, plan   what a run would do, and when it would be done (`outlook`)
    survey          a source as a start would find it (`source_counts`): for dry_run, plan and check
    runs            all runs of this user, by the registry beside the ledger; `moved`: where their journals lie now;
                    `runs_of_jobs`: the jobs of a database
    report          one HTML page of a run; `report_kept`: that of `run --report`
    explain         what happened to one record, by its steps in the journal
    check           what a run stands on, looked at before its first write
    status          how a run stands (`last_start`), and what lies ahead of it (`status_ahead`); `watch`: kept fresh
    resolve         a table of e-mails and titles becomes a source; `drafts`: files that appear together; `enrol`: what
                    its rows lack is created
    export          pairs by state, as a source again, with their own rows (`source_rows`);
                    `journals`: which journal is meant
    work, job       a job in a database that several workers share: loaded by `run`, worked on; `worker`: part after
                    part; `worker_options`: how another is started; `job_parts`: how parts stand;
                    `undo_job`: its records deleted part by part;
                    `on_ray`: its workers placed on a cluster
    verify, undo    what the server has, against a journal (`verify_report`); the records of a run deleted
    config          every setting with its origin
    stub, demo      the local server, and a run against it; `demo_people`: one that begins with a spreadsheet
    completion      what makes a shell complete commands with Tab
    topics          help; `manual`: its texts for operators, `manual_reference`: those to look things up in,
                    `manual_config`: settings in files; `manual_operators`: the life of a long run;
                    `manual_tokens`: signing in; `manual_jobs`: jobs of several workers;
                    `manual_testing`: a service's own tests, benchmarks in CI; `api_page`: the library's reference

    signals         the first drains, the second leaves the process
    stdout          what is written there, and what becomes of it when that fails
    stderr          everything printed there, by one thread; `event_lines`: events as sentences; `log_file`: the same
                    in the file of --log-file
    on_end          the user's own command that is told how a run ended
    progress        a snapshot as lines, drawn by `live`
    ending          exit code, summary, the command that resumes
    reason_lines    why pairs were not written, most frequent first
    describe        numbers, times and tables as text

stdout is data, stderr is for people.  A command's module is imported only when the command is used, and imports what
is heavy only when it runs, so that `--help` answers at once.
"""
