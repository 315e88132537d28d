"""Reports: a run as one page that needs nothing else, with a chart from the whole run to a tick."""
