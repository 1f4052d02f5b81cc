"""The control matrix: the real controller, and others from their descriptions, against model servers in virtual time.

python -m benchmarks.control            the table, a JSON result and a heat map; see `__main__.py`

servers.py   how servers limit, word a throttle and spend time     cells.py     the matrix
simulate.py  clients, events, a virtual clock                      measure.py   figures of one run
workers.py   baselines                                             bars.py      what is good enough
"""
