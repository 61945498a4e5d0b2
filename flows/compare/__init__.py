"""The comparison of text encoders: cases, the flow that makes them, figures and the page that shows them."""
