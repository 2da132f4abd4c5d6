"""The live table: its pages are kept up to date, and what they ask for is done. `page` is what the browser loads."""
