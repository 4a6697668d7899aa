//! Fused elementwise and normalisation kernels for burn's CPU backend, with gradients.
