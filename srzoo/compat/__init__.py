"""The one room that knows other projects' files."""
