"""A real Argo CD beside the real cluster: built from its Go module, with a local git repository and two accounts."""
