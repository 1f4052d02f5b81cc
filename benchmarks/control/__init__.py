"""The control matrix: the real controller, and others from their descriptions, against model servers in virtual time.

python -m benchmarks control            the table, a JSON result, and with `plot` the heat map; see `matrix.py`

servers.py   how servers limit, word a throttle and spend time     cells.py     the matrix
simulate.py  clients, events, a virtual clock                      measure.py   figures of one run
workers.py, baselines.py   other controllers                       bars.py      what is good enough
held_out.py  cells that the controller was not made on             heatmap.py   the picture
stated.py    servers that state a wait of one second
drawn.py     servers drawn by chance
"""
