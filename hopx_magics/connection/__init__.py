"""Everything about one agent: what it lists, launches, ends and has written, and who follows it."""
