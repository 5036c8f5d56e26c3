"""How long networks take: layers measured one by one, kept in tables, and added up (paper, section 3.2).

layers, terms       networks as layer keys; search spaces as array look-ups
layer_graph         the ONNX graphs that are measured (graph_builder, conv_graph, transformer)
table, build        measured latencies in SQLite, and what fills them
estimate            sums, corrected and completed
"""
