//! Training of tokenizers and backbones.
