"""What a terminal would show of a process's output, how far the process says it is, and the numbers it names. Pure.

Output is other people's bytes. Of its control sequences only colours and styles (SGR) reach a terminal or a page;
what moves the cursor is carried out here, and the rest (titles, clipboard, links, queries) is dropped.
"""
