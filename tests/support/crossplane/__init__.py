"""A small provider and composition in Crossplane's documented resource model, and a double of their controllers.

`definitions.yaml` is read by the real API server and by the simulator alike; `controllers` speaks to either through the
API, as Crossplane's own controllers do; `outside` is the world that they look after.  What the double follows and what
it leaves out stands in docs/crossplane.md.
"""
