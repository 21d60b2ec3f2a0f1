"""Scripts of the operator as actions: declared in manifests, pinned by hash, run without a shell and within limits."""
