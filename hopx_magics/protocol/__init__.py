"""The wire: what is sent to an agent, and what its replies mean. Pure functions on bytes.

Two dialects of one API exist, and agents mix them: the documentation's (`started_at`, `execution_time`, output in the
listing) and that of the vendor's OpenAPI 3.2.8 (`start_time`, `duration`, `pid`, no output). A reply wholly in the
documentation's dialect is decoded straight into `Process`; everything else is read field by field, so that whatever
can't be understood costs that field of that row and nothing more.
"""
