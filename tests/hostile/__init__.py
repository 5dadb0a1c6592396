"""The hostile campaign: every fault, every style of paging, many seeds, through the whole landing protocol."""
