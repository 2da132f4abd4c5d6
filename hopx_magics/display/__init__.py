"""From models to what a person sees: words, DataFrames, pages of text and HTML, pictures. Asks nobody for anything."""
