"""The live table at work: what its pages show is kept up to date, and what they ask for is done."""
