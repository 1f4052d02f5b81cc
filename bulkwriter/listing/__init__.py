"""What the server has: list calls, and the pairs that they show.

lists       pages of a list, and a scan that knows when it has missed nothing
lister      makes list calls and judges the replies
coverage    chooses the lists that show given pairs with the fewest calls
existing    which pairs exist before a run writes
looks       the looks that settle doubts: when, and what follows; `look_plan`: which doubts are looked up together;
            `look_reader`: their list calls; `witnesses`: records that show how old a list is;
            `visibility`: whether lists show what the run made
baseline    what the server held when the run began; those records are never deleted

retry_until_deadline    repeats calls until they succeed, with growing pauses
"""
