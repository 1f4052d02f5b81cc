"""Programs to read and to copy.  They use what `bulkwriter` exports, and nothing else of it.

service    an HTTP service with one writer: single pairs, readiness, metrics, an end in good order
"""
