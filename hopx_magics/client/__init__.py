"""Speaks to agents over HTTP. The only package that imports httpx."""
