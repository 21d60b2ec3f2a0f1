"""How much and how fast: measurements over the simulator, each with a number it must reach.

`incidents`: a thousand faults of mixed families, all of them healed, in virtual time.  Reading order: `estate` (what
runs), `faults` (what is done to it, from a seed), `arena` (cluster and service in this process), `incidents` (plays
them), `report`, `__main__`.  Nothing of the service depends on it.
"""
