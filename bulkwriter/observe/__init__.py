"""Shows a writer at work to those who run a service: in their log, their metrics and their traces.

Events (`events`) are the one source.  Everything here is an observer, or serves one:

    sentences    events in words
    audience     tells every observer of each event, and drops one that raises
    logs         events as records of the standard library's `logging`; each writer has this observer

Nothing here sends, waits or decides.  Nothing here is global, and no logging is set up.
"""
