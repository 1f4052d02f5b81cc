"""Talks: connections with one request each, and the API's requests and replies as values.

    lane        one connection, one exchange, exact knowledge of what was written and what came back
    framing     where a reply begins and ends in a stream of bytes
    pool        makes lanes, meets their deadlines, ends them
    dial        opens connections through aiohttp, and says why one could not be opened
    idle        how long a connection may wait for its next request
    calls       single requests and their replies: lists, deletes, tokens
    api         requests and replies of an entity, as bytes and values
    auth        where tokens come from, renewed in time by one exchange for all who wait
    signin      a token for user name and password

Nobody else names aiohttp, and nothing here knows the journal.
"""
