"""The report: history as functions of time, and the page."""
