"""`make demo`: a shop on a simulated cluster, six faults, the real service, and the story on the terminal.

Reading order: `faults` (what is broken and how it must end), `stage` (cluster and service in this process), `play` (one
fault from its injection to its end), `screen` (how it looks), `__main__`.  Nothing of the service depends on it.
"""
