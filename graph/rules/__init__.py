"""Causes that are known without a model, and what to do about each."""
