"""The command line: one small file a command, a thin user of the library.

    main       the group, its lazy table of commands, and how an exception becomes an exit code
    options    options that commands share, made from `Settings`' own metadata
    choose     options and environment -> Settings
    words      numbers, times and tables as text      voice     everything said on stderr, by one thread
    tell       events as sentences                    progress  a snapshot as lines; live adds rich
    signals    first signal drains, second aborts     ending    exit code, summary, JSON line, the resume command
    drive      a writer and a source brought to an end
    errand     one command line of verify or undo       verify_report  what verify found, in words and JSON
    run, dry_run, status, export, verify, undo, stub, demo, topics  the commands

stdout is data, stderr is for people.  A command's module is imported only when the command is used, and imports what
is heavy only when it runs, so that `--help` answers at once.
"""
