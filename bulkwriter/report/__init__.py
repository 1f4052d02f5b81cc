"""The report of a run: one HTML page, made from its journal alone, for whoever asks how a backfill goes.

    series   the history as functions of time: rates, throttles, causes, days, starts
    causes   what holds a run back, in words and in groups of one colour
    parts    pieces of a page: escaped text, tables, bars, charts
    style    its one style sheet: light, dark, narrow, printed
    page     the page, section by section

Everything here is pure: facts go in, text comes out.  `cli.report` and `cli.report_kept` gather the facts and write the
file.  The numbers are those of `status --json`, since both begin with the same facts.
"""
