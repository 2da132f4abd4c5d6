"""What is wrong here, if anything: looks at this program, its page, agents, history and network."""
