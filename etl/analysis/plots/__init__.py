"""Pictures of what stored queries answer: each function takes rows and gives a figure; `figure.save` writes it by suffix.

adjacency, histograms, distributions, paths   matplotlib figures, for PNG and SVG
layers                                        the layer graph, drawn by Graphviz
interactive                                   the heat map and the histograms as HTML that needs no network
"""
