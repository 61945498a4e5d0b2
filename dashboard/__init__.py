"""The dashboard: a local web page over a store, in which every image and every model answers for itself.

It reads what the stages have left and knows neither flows nor Prefect; `sdflow dashboard` serves it. HTML is
made on the server; without JavaScript every fact is reached by links and forms.
"""
