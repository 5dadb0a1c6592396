"""Types that change at the source, from run to run, and what each layer then holds."""
