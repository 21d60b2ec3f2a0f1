"""Crossplane: asking its controllers for another look, and letting go what was paused; nothing else.

What stands behind a managed resource is outside the cluster, and there we change nothing: no spec is written, nothing
is deleted, and the annotations by which a provider knows what it has made (`facts.UNTOUCHABLE`) are never ours.

Neighbours: `facts` reads the documented resource model, `wake` has the executors.
"""
