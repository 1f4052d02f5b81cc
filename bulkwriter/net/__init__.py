"""The network: connections with one request each, and the API's requests and replies as values.

    lane        one connection with one exchange at a time; knows exactly what was written and what came back
    framing     finds where a reply begins and ends in a stream of bytes
    pool        makes lanes, keeps their deadlines, ends them
    dial        opens connections: http to this machine itself, https through dial_tls
    dial_tls    look-up, TLS and proxies, through aiohttp
    https       which proxy and whose certificates; whether they can be used
    connect_failures    why a connection could not be opened
    idle        how long a connection may wait for its next request
    calls       single requests and their replies: lists, deletes, tokens
    api         requests and replies of an entity, as bytes and values
    auth        sources of tokens; one exchange renews a token in time for all callers
    signin      a token for user name and password
    stored_token    tokens of a stored sign-in, renewed by one process for all

Only this folder names aiohttp.  Nothing here knows the journal.
"""
