"""Sequences of events, drawn at random, through the engine and through an oracle that shares no code with it."""
