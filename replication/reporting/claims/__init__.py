"""Claims of the papers, judged on printed and measured numbers."""
