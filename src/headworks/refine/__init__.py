"""From bronze to silver and from silver to gold: parse, cast, judge, deduplicate, compare, merge, curate."""
