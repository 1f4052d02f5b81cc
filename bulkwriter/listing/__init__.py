"""What the server has: list calls, and what they show of given pairs.

lists       pages of a list, and a scan that shows when it has missed nothing
lister      list calls asked and judged
coverage    which lists show given pairs with the fewest calls
existing    which pairs are there before a run writes
looks       the looks that settle doubts: when, and what follows; `look_plan`: which doubts are looked up together;
            `look_reader`: their list calls; `witnesses`: records that show how old a list is
baseline    how the server stood when the run began: what was there is never deleted

retry_until_deadline    calls made again until they succeed, with growing pauses
"""
