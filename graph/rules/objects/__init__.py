"""Rules about objects that are no workloads, and about what a workload depends on."""
