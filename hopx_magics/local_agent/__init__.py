"""The local agent: a program of its own that launches and supervises processes on this machine.

`python -m hopx_magics.local_agent` speaks the HopX agent's API on the loopback address. It runs code with the user's
own rights and without any isolation. What a process writes goes straight into files, and a shell writes down how it
ended: processes, their output and their exit codes survive the death of the agent, and the next agent takes over.

Its modules, each importing only from those behind it: __main__ > serve > app > adopting, *_endpoints > pausing >
launching > following > killing > processes > queue, forgetting > delivering > endings > journal > store > the others.
"""
