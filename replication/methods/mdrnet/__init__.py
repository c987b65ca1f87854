"""MDRNets (ShowFace): memory-disentangled refinement of a coarse face."""
