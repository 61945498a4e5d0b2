"""Studies: arms of one run compared over seeds, within a budget; the flow, the figures and the page."""
