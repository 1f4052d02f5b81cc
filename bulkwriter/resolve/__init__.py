"""From e-mails and titles to ids: what people have in a spreadsheet becomes a SOURCE.

Decides; pure, time is an argument:

    wishes      what a row asks for, and which columns of a table say it
    normal      how e-mails, names and titles are compared
    records     the four lists that ids come from, and the few fields that are kept
    names       what all rows name, and so which lists are needed
    directory   what the lists have shown, and what is not known yet
    matching    what becomes of a row: two ids, or a reason
    outputs     the two tables that come out
    ways        the cheapest way to people's e-mails, and how long it takes

Asks and remembers:

    fetch       lists and records, from the cache or the server, whole or not at all
    cache       what was shown, kept for a day, so that a killed start goes on
    reading     a table, read once into the spool
    spool       the rows of the table, on disk meanwhile
    people      people by e-mail, by the cheapest of three ways
    resolver    all of it in its order

It sends lists and reads only.  `cli.resolve` is the command, and writes the files.
"""
