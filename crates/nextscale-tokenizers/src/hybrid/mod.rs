//! HART's tokenizer ("HART: Efficient Visual Generation with Hybrid Autoregressive Transformer", ICLR 2025,
//! section 3.1), in upstream's arithmetic and under upstream's key names: the multi-scale VQ of
//! [`vq`](crate::vq), whose last scale is hybrid. What its codes leave of the features is a continuous
//! residual, which a backbone may predict too; with it, the tokenizer is a plain autoencoder.
//!
//! Two details of upstream are easily missed: the last scale's codes do not pass through φ, and the
//! transformer's input is the area mean of the canvas.

mod file;
mod hybrid_vq;
mod tokenizer;

pub use hybrid_vq::HybridVq;
