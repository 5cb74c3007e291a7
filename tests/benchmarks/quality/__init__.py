"""What a search finds, and when: methods played on tables of real learning curves in virtual time.

How to run it is said in `__main__.py`, what a table is in `tables.py`, what time is in `play.py`,
what the figures mean in `measures.py`.
"""
