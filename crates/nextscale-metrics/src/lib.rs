//! Features of images, and the distances between sets of them.
