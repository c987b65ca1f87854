"""Drawing with matplotlib: style, grids of pictures, diagrams, curves; knows no result file's meaning."""
