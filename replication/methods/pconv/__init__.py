"""PConv: the partial-convolution U-Net."""
