"""The hostile campaign: every affliction, every style of paging, many seeds, through the whole landing protocol.

What belongs here: campaigns against our own API source. What does not: the hostile API and the promises, which ship as
``headworks.testing``.
"""
