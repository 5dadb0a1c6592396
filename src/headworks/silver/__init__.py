"""From bronze to silver: parse, judge, compare, merge, keep histories, hold back what is rejected, replay it."""
