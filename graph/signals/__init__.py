"""Pure detectors: one object and its context in, signals out."""
