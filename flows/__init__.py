"""Flows: what runs, in which order. Each reads as a story; how a step works is in ``tasks`` and below."""
