"""headworks on Prefect: what runs flows and tasks, finds blocks, and deploys. The only package that imports Prefect.

A project's own flows, tasks and blocks are thin: they say what is theirs (order, retries, names), and call this.
"""
